// The live page: the server renders every part, this only puts it in place.
"use strict";
const line = document.getElementById("line");
const stream = new EventSource("/live?lang=" + encodeURIComponent(document.body.dataset.lang));

function say(live) {
  const text = live ? line.dataset.live : line.dataset.lost;
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("lost", !live);
}

function numbers() {
  const found = new Map();
  for (const each of document.querySelectorAll("[data-measure]")) found.set(each.dataset.measure, each.textContent);
  return found;
}

stream.addEventListener("board", (event) => {
  const before = numbers();
  const cursor = Number(document.querySelector("[data-cursor]")?.dataset.cursor ?? 0);
  for (const [id, html] of Object.entries(JSON.parse(event.data))) {
    const place = document.getElementById(id);
    if (place) place.innerHTML = html;
  }
  for (const each of document.querySelectorAll("[data-measure]")) {
    if (before.get(each.dataset.measure) !== each.textContent) each.parentElement.classList.add("fresh");
  }
  for (const each of document.querySelectorAll("[data-cursor]")) {
    if (Number(each.dataset.cursor) > cursor) each.classList.add("fresh");
  }
  say(true);
});
stream.addEventListener("open", () => say(true));
stream.addEventListener("error", () => {
  say(false);
  // After a refusal (too many dashboards) the browser gives up: begin again.
  if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
});
