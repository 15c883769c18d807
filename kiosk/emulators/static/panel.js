// The panel's hands: sends what is clicked, shows what the branch tells. The page itself is drawn by the server.
"use strict";

const lang = document.body.dataset.lang;
const say = document.getElementById("say");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const CRY = 4000;
let hush = 0;

function tell(text) {
  clearTimeout(hush);
  say.textContent = text;
  say.hidden = false;
  hush = setTimeout(() => { say.hidden = true; }, 6000);
}

async function order(verb, words) {
  try {
    const answer = await fetch(`/world/${verb}?lang=${lang}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(words),
    });
    if (!answer.ok) {
      const [error] = (await answer.json()).errors;
      tell(`${error.say} ${error.do}`);
    }
    return answer.ok;
  } catch {
    tell(document.body.dataset.lost);
    return false;
  }
}

function put(tag, place) {
  const verb = { pad: "lay", hand: "lift", shelf: "shelve" }[place];
  return order(verb, { tag });
}

document.addEventListener("click", async (event) => {
  const hit = event.target.closest("button");
  if (!hit) return;
  const { tag, place, fault, value, walk, verb, reader } = hit.dataset;
  if (tag) await put(tag, place === "pad" ? "hand" : "pad");
  else if (fault) await order("fault", { name: fault, value: hit.getAttribute("aria-checked") === "true" ? "" : value });
  else if (reader) await order("pad", { driver: reader });
  else if (walk) await pass(walk);
  else if (verb === "reset") { if (await order("reset", {})) carried().forEach((box) => { box.checked = false; }); }
  else if (verb === "shelve") for (const book of document.querySelectorAll("#hand .item")) await put(book.dataset.tag, "shelf");
});

function carried() {
  return [...document.querySelectorAll("input[name=carry]:checked")];
}

async function pass(direction) {
  document.querySelector(".gate").dataset.walking = direction;
  setTimeout(() => { delete document.querySelector(".gate").dataset.walking; }, 900);
  await order("walk", { tags: carried().map((box) => box.value), direction });
}

// Drag and drop does what a click does.
document.addEventListener("dragstart", (event) => {
  const thing = event.target.closest?.("[data-tag]");
  if (thing) event.dataTransfer.setData("text/plain", thing.dataset.tag);
});
for (const zone of document.querySelectorAll("[data-zone]")) {
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const tag = event.dataTransfer.getData("text/plain");
    if (document.getElementById(`tag-${tag}`)) put(tag, zone.dataset.zone);
  });
}

// Live: put the fresh parts in, keep the keyboard's place, let things glide to where they went.
function spots() {
  const found = new Map();
  for (const thing of document.querySelectorAll("[data-tag]")) found.set(thing.id, thing.getBoundingClientRect());
  return found;
}

function glide(before) {
  if (calm.matches) return;
  const zoom = Number(getComputedStyle(document.body).zoom) || 1; // large screens; rects come magnified
  for (const thing of document.querySelectorAll("[data-tag]")) {
    const from = before.get(thing.id), to = thing.getBoundingClientRect();
    if (!from || (Math.abs(from.x - to.x) < 2 && Math.abs(from.y - to.y) < 2)) continue;
    const x = from.x + from.width / 2 - to.x - to.width / 2, y = from.y + from.height / 2 - to.y - to.height / 2;
    thing.animate([{ translate: `${x / zoom}px ${y / zoom}px`, zIndex: 9 }, { translate: "0 0", zIndex: 9 }], { duration: 320, easing: "cubic-bezier(.2,.8,.2,1)" });
  }
}

const shown = new Map();
let sirens = Number(document.querySelector("[data-sirens]").dataset.sirens);

function show({ parts }) {
  const before = spots(), focused = document.activeElement?.id;
  for (const [id, html] of Object.entries(parts)) {
    if (shown.get(id) === html) continue;
    document.getElementById(id).innerHTML = html;
    shown.set(id, html);
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  glide(before);
  const now = Number(document.querySelector("[data-sirens]").dataset.sirens);
  if (now > sirens) {
    const gate = document.querySelector(".gate");
    gate.classList.add("crying");
    setTimeout(() => gate.classList.remove("crying"), CRY);
  }
  sirens = now;
}

const live = new EventSource(`/live?lang=${lang}`);
// A broken stream opens again by itself within a moment; only a longer silence is worth a word.
let silence = 0;
live.onmessage = (event) => {
  clearTimeout(silence);
  silence = 0;
  document.body.classList.remove("lost");
  show(JSON.parse(event.data));
};
live.onerror = () => {
  silence ||= setTimeout(() => { document.body.classList.add("lost"); tell(document.body.dataset.lost); }, 4000);
};
