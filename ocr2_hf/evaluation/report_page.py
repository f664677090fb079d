"""The frame of a report: head, style and legend. No script and, by its policy, no network."""

from html import escape

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --paper: #f6f5f1; --card: #fff; --ink: #22211e; --soft: #6d6a62; --line:
  #e2dfd7; --predicted: #c2500d; --reference: #1d63b3; --predicted-wash: #fbe4d6; --reference-wash: #dbe9f9
  }
@media (prefers-color-scheme: dark) { :root { --paper: #171614; --card: #211f1c; --ink: #eceae4; --soft:
  #a19d93; --line: #38352f; --predicted: #ff9a5c; --reference: #7db8ff; --predicted-wash: #4d2a14;
  --reference-wash: #183655 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1240px; padding: 40px 24px 80px; background: var(--paper); color:
  var(--ink); font: 15px/1.55 system-ui, "Segoe UI", "Noto Sans", sans-serif }
h1 { margin: 0; font-size: 28px; letter-spacing: -.02em }
h2 { margin: 40px 0 4px; font-size: 18px }
h3 { margin: 0 0 8px; font-size: 12px; font-weight: 600; color: var(--soft) }
.soft, small { color: var(--soft); font-size: 13px }
p.soft { margin: 4px 0 }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(124px, 1fr)); gap: 1px; margin:
  20px 0 0; border: 1px solid var(--line); border-radius: 12px; overflow: hidden; background: var(--card) }
.figures div { padding: 14px 16px; box-shadow: 0 0 0 1px var(--line) }
.figures dt { color: var(--soft); font-size: 13px; white-space: nowrap }
.figures dd { margin: 0; font-size: 24px; font-weight: 600; font-variant-numeric: tabular-nums; white-space:
  nowrap }
.figures dd small { font-weight: 400 }
.legend { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 6px 20px; padding: 10px
  0; background: var(--paper); font-size: 13px }
.legend label { cursor: pointer }
.legend .predicted { color: var(--predicted) } .legend .reference { color: var(--reference) }
details.page { margin-top: 10px; border: 1px solid var(--line); border-radius: 12px; background: var(--card)
  }
details.page > summary { display: grid; align-items: center; gap: 16px; padding: 10px 16px; cursor: pointer;
  grid-template-columns: minmax(0, 1fr) auto 190px 90px 60px; font-variant-numeric: tabular-nums;
  list-style: none }
summary:focus-visible { outline: 2px solid var(--reference); border-radius: 12px }
.page > summary span { white-space: nowrap }
.page > summary b { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600 }
.chip { padding: 1px 8px; border-radius: 9px; background: var(--predicted-wash); color: var(--predicted);
  font-size: 12px; white-space: nowrap }
meter { width: 84px; height: 8px; margin-right: 8px; border-radius: 4px; overflow: hidden; background:
  var(--line); appearance: none; border: 0 }
meter::-webkit-meter-bar { height: 8px; border: 0; background: var(--line) }
meter::-webkit-meter-optimum-value { background: var(--predicted) }
meter::-moz-meter-bar { background: var(--predicted) }
.body { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 24px;
  padding: 16px; border-top: 1px solid var(--line) }
.body > * { min-width: 0 }
div + .sheet { margin-top: 16px }
.sheet { position: relative; align-self: start; border: 1px solid var(--line); border-radius: 6px; overflow:
  hidden; background: #fff }
.sheet img { display: block; width: 100% }
.sheet svg { position: absolute; inset: 0; width: 100%; height: 100% }
rect { fill: transparent; stroke-width: 2; vector-effect: non-scaling-stroke }
rect:hover { fill: currentColor; fill-opacity: .16 }
rect.predicted { stroke: #d9601a; color: #d9601a } rect.reference { stroke: #1d63b3; color: #1d63b3;
  stroke-dasharray: 6 4 }
body:has(#predicted:not(:checked)) rect.predicted, body:has(#reference:not(:checked)) rect.reference {
  display: none }
.text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 720px; overflow-y: auto }
del { background: var(--predicted-wash); color: var(--predicted); border-radius: 3px }
ins { background: var(--reference-wash); color: var(--reference); border-radius: 3px;
  text-decoration-thickness: 2px }
.raw { grid-column: 1 / -1 } .raw summary { cursor: pointer; color: var(--soft); font-size: 13px }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; max-height: 480px; overflow-y: auto }
table { border-collapse: collapse; margin-top: 24px; font-variant-numeric: tabular-nums }
th, td { padding: 6px 20px 6px 0; border-bottom: 1px solid var(--line); text-align: right; font-weight: 400
  }
th { color: var(--soft); font-size: 13px } th:first-child, td:first-child { text-align: left }
@media (max-width: 700px) { body { padding: 20px 12px } details.page > summary { grid-template-columns: 1fr
  auto; gap: 2px 12px } }
"""

LEGEND = """<div class="legend">
<label class="predicted"><input type="checkbox" id="predicted" checked> predicted boxes</label>
<label class="reference"><input type="checkbox" id="reference" checked> reference boxes</label>
<span><del>predicted, but not on the page</del></span>
<span><ins>on the page, but not predicted</ins></span></div>"""


def page(title: str, body: str) -> str:
    """A whole HTML document. `title` is plain text, `body` is HTML."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<style>{_STYLE}</style></head>
<body>
{body}
</body></html>
"""
