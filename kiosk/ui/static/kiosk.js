// The browser's part of the kiosk: draw what the server says, post taps, count down, and say so when the server is silent.
"use strict";
(() => {
  const SILENCE = 15000, STAY = 20, GHOST = 350;
  const root = document.documentElement;
  const app = document.getElementById("app"), say = document.getElementById("say"), away = document.getElementById("away");
  const now = () => performance.now();
  let heard = now(), changed = 0, delay = 500, source = null, timer = 0, posting = false, touched = now();
  let endsAt = left(root.dataset.left);

  function left(seconds) {
    return seconds === undefined || seconds === null ? null : now() + Number(seconds) * 1000;
  }

  // --- the stream -----------------------------------------------------------------------------------------------
  function connect() {
    clearTimeout(timer);
    if (source) source.close();
    source = new EventSource("/events");
    source.addEventListener("hello", (event) => {
      hear();
      delay = 500;
      if (JSON.parse(event.data).boot !== root.dataset.boot) location.reload();
    });
    source.addEventListener("ping", hear);
    source.addEventListener("screen", (event) => { hear(); draw(JSON.parse(event.data)); });
    source.onerror = retry;
  }

  function retry() {
    source.close();
    clearTimeout(timer);
    timer = setTimeout(connect, delay);
    delay = Math.min(delay * 2, 8000);
  }

  function forget() {  // nobody's books stay on a screen that nobody minds; the next stream begins with the screen
    app.replaceChildren();
    say.textContent = "";
    root.dataset.screen = "";
    endsAt = null;
    away.hidden = false;
  }

  function hear() {
    heard = now();
    away.hidden = true;
  }

  // --- drawing ----------------------------------------------------------------------------------------------------
  function draw(screen) {
    const other = screen.name !== root.dataset.screen;
    const focus = mark(document.activeElement), list = app.querySelector(".ul"), top = list ? list.scrollTop : 0;
    const known = new Set(Array.from(app.querySelectorAll(".item"), (row) => row.id));
    const range = document.createRange();
    range.selectNodeContents(app);
    app.replaceChildren(range.createContextualFragment(screen.html));
    for (const row of app.querySelectorAll(".item")) if (!known.has(row.id)) row.classList.add("new");
    root.lang = screen.lang;
    document.title = screen.title;
    root.dataset.screen = screen.name;
    if (say.textContent !== screen.say) say.textContent = screen.say;
    endsAt = left(screen.left);
    if (other) {
      changed = now();
      if (screen.name === "welcome") plain();
    }
    const scroller = app.querySelector(".ul");
    if (scroller && !other) scroller.scrollTop = top;
    pressed();
    refocus(focus, other);
    count();
  }

  function mark(element) {
    if (!element || !app.contains(element)) return "";
    const { action, value, toggle } = element.dataset;
    if (action) return `[data-action="${action}"]` + (value ? `[data-value="${value}"]` : "");
    return toggle ? `[data-toggle="${toggle}"]` : "";
  }

  function refocus(selector, other) {
    const target = (selector && app.querySelector(selector)) || (other && app.querySelector("h1"));
    if (target) target.focus({ preventScroll: true });
  }

  // --- countdowns -------------------------------------------------------------------------------------------------
  function count() {
    const seconds = endsAt === null ? null : Math.max(0, Math.ceil((endsAt - now()) / 1000));
    for (const element of app.querySelectorAll("[data-count]")) {
      const text = seconds === null ? "" : element.dataset.count.replace("{n}", seconds);
      if (element.textContent !== text) element.textContent = text;
    }
    const stay = app.querySelector(".stay");
    if (!stay) return;
    const due = seconds !== null && seconds <= STAY;
    if (stay.hidden === due) {
      stay.hidden = !due;
      for (const part of app.children) if (part !== stay) part.inert = due;
      if (due) {
        say.textContent = stay.querySelector("h2").textContent;
        stay.querySelector(".pri").focus({ preventScroll: true });
      }
    }
  }

  setInterval(() => {
    count();
    if (now() - heard > SILENCE) {
      if (away.hidden) forget();
      if (source.readyState === EventSource.OPEN) retry();  // open but dead
    }
    if (root.dataset.screen === "welcome" && now() - touched > 60000) plain();
  }, 250);

  // --- taps -------------------------------------------------------------------------------------------------------
  document.addEventListener("pointerdown", () => { touched = now(); }, { passive: true });
  document.addEventListener("contextmenu", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || now() - changed < GHOST) return;  // the second half of a double tap is not meant for the next screen
    if (button.dataset.toggle) toggle(button.dataset.toggle);
    else if (button.dataset.action) post(button.dataset.action, button.dataset.value || "");
  });

  async function post(action, value) {
    if (posting) return;
    posting = true;
    app.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch("/act", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ action, value, token: root.dataset.token }),
        signal: AbortSignal.timeout(5000),
      });
      if (reply.status === 403) location.reload();
    } catch {
      // the stream tells whether the kiosk is there
    } finally {
      posting = false;
      app.removeAttribute("aria-busy");
    }
  }

  // --- large text and high contrast, until the next person --------------------------------------------------------
  const toggles = { text: "large", contrast: "high" };

  function toggle(name) {
    if (root.dataset[name]) delete root.dataset[name];
    else root.dataset[name] = toggles[name];
    pressed();
  }

  function plain() {
    for (const name of Object.keys(toggles)) delete root.dataset[name];
    pressed();
  }

  function pressed() {
    for (const button of app.querySelectorAll("[data-toggle]"))
      button.setAttribute("aria-pressed", String(Boolean(root.dataset[button.dataset.toggle])));
  }

  count();
  connect();
})();
