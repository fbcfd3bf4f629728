"use strict";
// What the pages do beyond links and forms: theme, times in the viewer's zone, live parts. Without it everything works.
(() => {
  const root = document.documentElement;
  const EVERY_MS = 500;
  const QUIET_MS = 15000; // with an event stream, a part is asked for anew after so long without an event

  // --- theme: the system's, unless the viewer chose one; before the page is painted
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* private window */ } };
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  if (stored() === "dark" || stored() === "light") root.dataset.theme = stored();

  function offerTheme() {
    const button = document.getElementById("theme");
    const words = button.querySelector("[data-theme-words]");
    const tell = () => { words.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Change to ${dark() ? "light" : "dark"} colours`); };
    button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; keep(root.dataset.theme); tell(); });
    button.hidden = false;
    tell();
  }

  // --- times: the server writes UTC, the viewer reads his own
  const pad = (value) => String(value).padStart(2, "0");
  const clock = (date) => `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  const written = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(date)}`;

  function showTimes(part) {
    for (const time of part.querySelectorAll("time[datetime]:not([title])")) {
      const date = new Date(time.dateTime);
      if (Number.isNaN(date.getTime())) continue;
      time.title = `${time.dateTime.replace("T", " ").replace("Z", "")} UTC`;
      time.textContent = "clock" in time.dataset && written(date).slice(0, 10) === written(new Date()).slice(0, 10) ? clock(date) : written(date);
    }
  }

  function nameZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const place = document.querySelector("[data-zone]");
    if (zone && place) place.textContent = `times in ${zone}`;
  }

  // --- live parts: [data-every] is asked for anew after so many seconds, and sooner only when an event came
  const asked = new Map(); // by id: a part that was replaced has the same
  let stream = null; // null: this page has none, or it is broken: then time alone decides
  let lastEvent = 0;

  function refresh() {
    if (document.hidden || !window.htmx) return;
    const now = performance.now();
    for (const part of document.querySelectorAll("[data-every]")) {
      if (part.classList.contains("htmx-request")) continue;
      const last = asked.get(part.id) ?? started;
      const due = now - last >= 1000 * Number(part.dataset.every);
      const worth = stream === null || lastEvent > last || now - last >= QUIET_MS;
      if (due && worth) { asked.set(part.id, now); htmx.trigger(part, "refresh"); }
    }
  }
  const started = performance.now();

  function follow() {
    const place = document.querySelector("[data-events]");
    if (!place) return;
    const source = new EventSource(place.dataset.events);
    source.onopen = () => { stream = source; lastEvent = performance.now(); };
    source.onerror = () => { stream = null; };
    for (const name of ["progress", "state", "waiting", "done"]) {
      source.addEventListener(name, () => { lastEvent = performance.now(); if (name === "done") source.close(), (stream = null); });
    }
  }

  // --- what a screen reader is told: the live part's sentence at once when the state is another, else now and then
  const TELL_MS = 30000;
  let told = null;
  let toldAt = 0;
  function announce() {
    const sentence = document.querySelector("[data-announce]");
    if (!sentence) return;
    const now = { text: sentence.textContent, status: document.getElementById("live").dataset.status };
    const worth = told && (now.status !== told.status || (now.text !== told.text && performance.now() - toldAt > TELL_MS));
    if (worth) document.getElementById("announcer").textContent = now.text;
    if (worth || !told) { told = now; toldAt = performance.now(); }
  }

  // --- the service away: say so, keep what is shown
  function away(isAway) {
    const banner = document.getElementById("away");
    if (isAway && banner.hidden) banner.querySelector("[data-away-since]").textContent = clock(new Date());
    banner.hidden = !isAway;
  }

  document.addEventListener("DOMContentLoaded", () => {
    offerTheme();
    nameZone();
    showTimes(document);
    follow();
    setInterval(() => { refresh(); announce(); }, EVERY_MS);

    const body = document.body;
    body.addEventListener("htmx:sendError", () => away(true));
    body.addEventListener("htmx:responseError", (event) => away(event.detail.xhr.status >= 500));
    body.addEventListener("htmx:afterOnLoad", () => away(false));

    // Reading on with the keyboard: the focus goes to the first of the new rows.
    let before = null;
    let statusBefore;
    let opened = [];
    let focused = null;
    body.addEventListener("htmx:beforeSwap", (event) => {
      const more = event.detail.requestConfig.elt.matches("[data-more]");
      before = more ? { row: event.detail.target.previousElementSibling, parent: event.detail.target.parentElement } : null;
      statusBefore = document.getElementById("live")?.dataset.status;
      opened = [...event.detail.target.querySelectorAll("details[id][open]")];
      focused = document.activeElement;
    });
    // What the viewer opened stays open in what takes its place; a drawer with what was typed into it.
    body.addEventListener("htmx:afterSwap", () => {
      for (const part of opened) {
        const next = document.getElementById(part.id);
        if (part.matches(".drawer")) next?.replaceWith(part);
        else next?.setAttribute("open", "");
      }
      if (opened.some((part) => part.contains(focused))) focused.focus();
      opened = [];
    });
    body.addEventListener("htmx:afterSettle", () => {
      showTimes(document);
      if (before) {
        const first = before.row ? before.row.nextElementSibling : before.parent.firstElementChild;
        first?.querySelector("a, button, summary")?.focus();
        before = null;
      }
      const status = document.getElementById("live")?.dataset.status;
      if (status && statusBefore && status !== statusBefore) {
        statusBefore = status;
        for (const part of document.querySelectorAll("[hx-trigger~='state-changed']")) htmx.trigger(part, "state-changed");
      }
    });

    // All of a list at once.
    document.addEventListener("change", (event) => {
      if (!event.target.matches("[data-all]")) return;
      for (const box of document.querySelectorAll(`input[name="${event.target.dataset.all}"]`)) box.checked = event.target.checked;
    });
  });
})();
