"""The annotations of an image in COCO: in which order they are read, the box and the label of each."""

from typing import Any

from data_scripts.formats.entries import Fields
from data_scripts.formats.json_files import are_all, numbers, string
from data_scripts.formats.layout import box_around
from ocr2_hf.document.records import RecordError, shown


def annotation_fields(annotations: list[dict[str, Any]], names: dict[Any, Any]) -> Fields:
    """Boxes, labels and whether their order is stated; `names` are those of the categories, by `id_of`."""
    annotations = _in_order(annotations)
    return {
        "bboxes": [_box(annotation, f"annotations[{i}] of the image") for i, annotation in enumerate(annotations)],
        "labels": [_label(annotation, names) for annotation in annotations],
        "is_ordered": _order(annotations[0]) is not None,
    }


def id_of(value: Any) -> int | str | None:
    """The value where it can be an id, else None."""
    return value if type(value) in (int, str) else None


def _in_order(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    orders = [_order(annotation) for annotation in annotations]
    if all(order is None for order in orders):
        return annotations
    numbers(orders, len(orders), "order of the image's annotations")
    return [annotations[i] for i in sorted(range(len(orders)), key=orders.__getitem__)]


def _order(annotation: dict[str, Any]) -> Any:
    attributes = annotation.get("attributes")
    return annotation.get("order", attributes.get("order") if isinstance(attributes, dict) else None)


def _box(annotation: dict[str, Any], where: str) -> list[float]:
    if "bbox" in annotation:
        x, y, width, height = numbers(annotation["bbox"], 4, f"{where}: bbox")
        return [x, y, x + width, y + height]
    polygons = annotation.get("segmentation")
    if not are_all(list, polygons):
        raise RecordError(f"{where} has neither bbox nor polygons")
    where = f"{where}: segmentation"
    flat = [numbers(polygon, len(polygon), where) for polygon in polygons]
    return box_around([polygon[i : i + 2] for polygon in flat for i in range(0, len(polygon), 2)], where)


def _label(annotation: dict[str, Any], names: dict[Any, Any]) -> str:
    category = id_of(annotation.get("category_id"))
    if category not in names:
        raise RecordError(f"annotation is of the category_id {shown(category)}, which categories does not have")
    return string(names[category], "name of a category")
