"""A plan as `ocr2 plan` prints it: parameters, tokens, FLOPs, memory of one process and under the launches."""

from ocr2_hf.data.shares import shares_of
from ocr2_hf.data.token_batches import COLUMNS
from ocr2_hf.modeling.adapters import counts_table, trainable_counts
from ocr2_hf.planning import budget
from ocr2_hf.planning.memory import PARTS, Launch, fits, read_launches, verdict
from ocr2_hf.planning.plan import Plan

SIZES = ((640, 640), (1024, 1024), (1240, 1754), (1754, 1240), (1700, 2200), (2480, 3508))


def print_plan(plan: Plan, launchers: str, processes: int | None, gpu_memory: int | None) -> None:
    """`launchers`: a folder of launch configurations; `processes`: of each, None for its own; `gpu_memory`: in GB."""
    _print_parameters(plan)
    _print_tokens(plan)
    _print_flops(plan)
    _print_memory(plan, gpu_memory)
    _print_launches(plan, read_launches(launchers, processes), gpu_memory)


def _print_parameters(plan: Plan) -> None:
    parts = budget.parameters_by_part(plan.model)
    print("\nparameters")
    for part, size in [*parts.items(), ("all", sum(parts.values()))]:
        print(f"  {part:<15}{size:>15,}")
    print(f"\ntrains\n{counts_table(trainable_counts(plan.model))}")


def _print_tokens(plan: Plan) -> None:
    if plan.statistics is not None:
        names, dropped = " and ".join(shares_of(plan.recipe.data.dataset)), plan.statistics.dropped
        print(f"\ntokens of the {plan.statistics.pages:,} pages of {names} that train")
        print(f"  {'':<18}" + "".join(f"{column:>9}" for column in COLUMNS))
        for part, values in plan.statistics.rows().items() if plan.statistics.pages else ():
            print(f"  {part:<18}" + "".join(f"{value:>9,}" for value in values))
        print("".join(f"  {count:,} left out: {reason}\n" for reason, count in dropped.items()) or "  none left out")
        return
    if plan.why_not_measured:
        step = plan.step(plan.usual)
        page = f"{step.visual_tokens:,} visual and {step.target_tokens:,} target tokens"
        print(f"\n{plan.why_not_measured}; so this is for a page of {page}")
    print("\nvisual tokens of a page (the rest, up to max_length, is for prompt and target)")
    for width, height in SIZES:
        tiles = plan.images.tiles(width, height)
        tokens = plan.images.tokens(tiles)
        left = f"{plan.args.max_length - tokens:>6,} left" if tokens < plan.args.max_length else "too long"
        print(f"  {width:>5} x {height:<5} {tiles} tiles {tokens:>6,} tokens, {left}")


def _print_flops(plan: Plan) -> None:
    flops, step = plan.flops(), plan.step(plan.usual)
    pages = step.batch * plan.args.gradient_accumulation_steps
    print(f"\nFLOPs of a page with {step.visual_tokens:,} visual and {step.target_tokens:,} target tokens")
    for part, number in flops.items():
        print(f"  {part:<15}{number / step.batch / 1e12:>12.4f} TFLOP")
    total = sum(flops.values()) / step.batch / 1e12
    print(f"  {'all':<15}{total:>12.4f} TFLOP, {total * pages:.4f} in a step of {pages} pages per process")
    if stored := plan.stored_features():
        print(f"\nstored vision features (cache_vision_features) of {stored[0]:,} pages: {stored[1] / 1e6:,.1f} MB")


def _print_memory(plan: Plan, gpu_memory: int | None) -> None:
    step = plan.step(plan.longest)
    parts = {on: plan.memory(on).parts() for on in (False, True)}
    print(f"\nmemory of one process at a step's peak, estimated; {step.batch} x {step.length:,} tokens, checkpointing")
    print(f"  {'':<24}{'off':>9}   {'on':>9}")
    for part in PARTS:
        print(f"  {part:<24}{parts[False][part] / 1e9:>9.2f} GB{parts[True][part] / 1e9:>9.2f} GB")
    print(f"  {'all':<24}{sum(parts[False].values()) / 1e9:>9.2f} GB{sum(parts[True].values()) / 1e9:>9.2f} GB")
    if gpu_memory is not None:
        on = step.checkpointing
        print(f"  with checkpointing {'on' if on else 'off'} as in the recipe: {verdict(parts[on], gpu_memory)}")


def _print_launches(plan: Plan, launches: list[Launch], gpu_memory: int | None) -> None:
    if not launches:
        return
    print("\nmemory of each process under the launch configurations, estimated; checkpointing off, on")
    for launch in launches:
        sizes = [plan.launched(launch, on) for on in (False, True)]
        told = [f"{size / 1e9:>9.2f} GB" + _fits(size, gpu_memory) for size in sizes]
        print(f"  {launch.name:<18}{launch.processes:>4} processes" + "".join(told))


def _fits(size: int, gpu_memory: int | None) -> str:
    return "" if gpu_memory is None else " fits" if fits(size, gpu_memory) else " no  "
