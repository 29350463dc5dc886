/** A page of its own for a picture: the wheel zooms where the pointer is, dragging moves, a double click shows all. */
export function pageOf(svg: string, title: string): string {
  const name = title.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${name}</title>
<style>
html, body { margin: 0; height: 100%; overflow: hidden; background: #fff; }
@media (prefers-color-scheme: dark) { html, body { background: #12171e; } }
#view { width: 100%; height: 100%; overflow: hidden; cursor: grab; touch-action: none; }
#view svg { transform-origin: 0 0; display: block; }
</style>
</head>
<body>
<div id="view">
${svg}</div>
<script>
${SCRIPT}
</script>
</body>
</html>
`;
}

const SCRIPT = `const view = document.getElementById("view");
const picture = view.querySelector("svg");
let scale = 1, x = 0, y = 0, grabbed = null;
const show = () => { picture.style.transform = "translate(" + x + "px," + y + "px) scale(" + scale + ")"; };
const fit = () => { scale = Math.min(1, view.clientWidth / picture.width.baseVal.value); x = 0; y = 0; show(); };
view.addEventListener("wheel", (event) => {
  event.preventDefault();
  const next = Math.min(8, Math.max(0.05, scale * Math.exp(-event.deltaY / 500)));
  x = event.clientX - (event.clientX - x) * next / scale;
  y = event.clientY - (event.clientY - y) * next / scale;
  scale = next;
  show();
}, { passive: false });
view.addEventListener("pointerdown", (event) => { grabbed = { x: event.clientX - x, y: event.clientY - y }; view.setPointerCapture(event.pointerId); });
view.addEventListener("pointermove", (event) => { if (grabbed) { x = event.clientX - grabbed.x; y = event.clientY - grabbed.y; show(); } });
view.addEventListener("pointerup", () => { grabbed = null; });
view.addEventListener("dblclick", fit);
fit();`;
