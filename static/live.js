// The live page: a socket, polling while the socket is down, and a display of which is in use.
// No eval and no inline script, so that it works under script-src 'self'.
(() => {
  "use strict";
  const POLL_MS = 2000;
  const FIRST_POLL_MS = 400;
  const SLOWEST_POLL_MS = 15000;
  const SILENT_MS = 40000; // the server sends a heartbeat each 15 s
  const REOPEN_MS = 10000;
  const ENDED_MS = 15000; // another user may retry a job that has ended

  htmx.config.history = false;
  htmx.config.defaultSettleDelay = 0; // settling copies style attributes, which the policy refuses
  htmx.config.ws = { ...htmx.config.ws, pauseOnBackground: false, reconnectMaxDelay: 10000 };
  htmx.registerExtension("flightplan", {
    // details keep their open state when their piece is replaced
    htmx_before_morph_attr: (element, detail) =>
      !(detail.attrName === "open" && element.tagName === "DETAILS"),
  });

  // never swap in an error page, or the sign-in page after a redirect
  document.addEventListener("htmx:before:swap", (event) => {
    const answer = event.detail.ctx?.response?.raw;
    if (answer && (!answer.ok || answer.redirected)) event.preventDefault();
  });

  const byId = (id) => document.getElementById(id);
  const on = (name, act) => document.addEventListener(name, act);
  const skew = Date.parse(document.body.dataset.now || "") - Date.now() || 0;
  const now = () => Date.now() + skew;

  // --- Durations, from data-since (and data-until) attributes ---
  function words(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  }
  function elapsed() {
    for (const one of document.querySelectorAll("[data-since]")) {
      const text = words(now() - Date.parse(one.dataset.since));
      if (one.textContent !== text) one.textContent = text;
    }
    for (const one of document.querySelectorAll("[data-left]")) {
      const left = Date.parse(one.dataset.left) - now();
      // whole minutes are precise enough, and a late end is never shown as a negative time
      const about = `about ${left < 90000 ? words(left) : `${Math.round(left / 60000)} min`} left`;
      const text = left < -3000 ? "taking longer than expected" : left < 1000 ? "about to end" : about;
      if (one.textContent !== text) one.textContent = text;
    }
  }
  elapsed();
  setInterval(elapsed, 1000);
  on("htmx:after:swap", elapsed);

  // --- One job's page ---
  const live = byId("live");
  if (!live) return;
  let socket = null; // the extension's connection
  let up = false;
  let closedAt = 0; // when the extension stopped reconnecting
  let heard = Date.now();
  let offline = 0;
  let signedOut = false;
  let gone = false; // the job was removed, or the user may no longer see it
  let polled = false; // since the socket was last connected
  let lost = false; // the socket was connected and no longer is
  let tag = live.dataset.tag || "";
  let failures = 0;
  let asking = null;
  let timer = 0;

  const ended = () => byId("job-header")?.dataset.ended === "yes";
  let over = ended(); // as it was when the page last settled
  const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

  function state() {
    if (ended()) return ["ended", "Finished"];
    if (up) return ["live", "Live"];
    if (signedOut) return ["signed-out", "Signed out"];
    if (gone) return ["gone", "No longer available"];
    if (offline) return ["offline", `Offline since ${clock(offline)}`];
    if (polled) return ["polling", "Polling"];
    return lost ? ["lost", `No answer since ${clock(heard)}`] : ["connecting", "Connecting"];
  }
  function show() {
    const [name, text] = state();
    const box = byId("link");
    box.dataset.state = name;
    if (byId("link-word").textContent !== text) byId("link-word").textContent = text;
    const quiet = name === "ended" || name === "connecting" || name === "signed-out" || name === "gone";
    byId("link-heard").textContent = quiet ? "" : `last update ${words(Date.now() - heard)} ago`;
    byId("link-again").hidden = name !== "signed-out";
  }
  function hear() {
    heard = Date.now();
    offline = failures = 0;
    signedOut = gone = false;
  }

  // --- The socket ---
  on("htmx:ws:before:connection", (event) => { socket = event.detail.connection; closedAt = 0; });
  on("htmx:ws:after:connection", () => { rise(); show(); });
  on("htmx:ws:after:message:incoming", () => { rise(); settle(); });
  on("htmx:ws:error", () => { show(); });
  on("htmx:ws:close", (event) => {
    lost ||= up;
    up = false;
    const { code, connection } = event.detail;
    if (!connection?.config?.reconnectCodes?.includes(code)) closedAt = Date.now();
    // at a random time, because all pages lose a stopped server at once
    if (!over) schedule(FIRST_POLL_MS * (1 + 3 * Math.random()));
    show();
  });
  function rise() {
    up = true;
    lost = polled = false;
    hear();
    asking?.abort();
  }
  function hangUp() {
    if (!socket) return;
    socket.config.reconnect = false;
    socket.socket?.close(1000);
  }

  // --- The poll ---
  async function poll() {
    if (up || asking) return;
    const mine = (asking = new AbortController());
    const limit = setTimeout(() => mine.abort(), 10000);
    try {
      const headers = { "HX-Request": "true", ...(tag && { "If-None-Match": tag }) };
      const answer = await fetch(live.dataset.poll, { headers, signal: mine.signal, credentials: "same-origin" });
      await take(answer);
    } catch {
      if (!up) fail();
    } finally {
      clearTimeout(limit);
      asking = null;
      settle();
    }
  }
  async function take(answer) {
    if (answer.status === 401) { hear(); signedOut = true; return; }
    if (answer.status === 404) { hear(); gone = true; return; }
    if (answer.status !== 304 && !answer.ok) throw new Error(`status ${answer.status}`);
    const text = answer.status === 304 ? "" : await answer.text();
    if (up) return; // the socket is back and has newer pieces
    hear();
    polled = true;
    if (!text) return;
    tag = answer.headers.get("ETag") || "";
    await htmx.swap({ sourceElement: live, target: live, swap: "none", text });
  }
  function fail() {
    failures += 1;
    offline ||= heard;
  }
  function schedule(ms) {
    clearTimeout(timer);
    timer = setTimeout(tick, ms);
  }
  async function tick() {
    if (ended()) {
      if (!document.hidden) await poll();
      if (ended()) schedule(ENDED_MS);
      return;
    }
    if (up && Date.now() - heard > SILENT_MS) { up = false; lost = true; socket?.socket?.close(); }
    if (!up) {
      if (closedAt && Date.now() - closedAt > REOPEN_MS) {
        closedAt = Date.now();
        live.dispatchEvent(new CustomEvent("reconnect"));
      }
      await poll();
    }
    const slower = Math.min(SLOWEST_POLL_MS, POLL_MS * 2 ** Math.min(failures, 5));
    schedule((up ? POLL_MS : slower) * (0.75 + Math.random() / 2));
  }
  on("visibilitychange", () => { if (!document.hidden) schedule(0); });
  window.addEventListener("online", () => { failures = 0; schedule(0); });

  // --- After each change: announce it, disconnect when the job has ended, reconnect when it runs again ---
  const known = new Map();
  function before(name, value) {
    const earlier = known.get(name);
    known.set(name, value);
    return earlier === value ? undefined : earlier;
  }
  function changes() {
    const news = [];
    for (const row of document.querySelectorAll("[data-stage]")) {
      const { stage, status, name } = row.dataset;
      if (before(`stage ${stage}`, status) && row.dataset.ended === "yes") news.push(`${name}: ${status}`);
    }
    const head = byId("job-header")?.dataset;
    if (head) news.push(...headlines(head));
    if (news.length) byId("announcer").textContent = news.join(". ");
  }
  function headlines(head) {
    const news = [], { what } = head;
    document.title = head.title;
    if (before("round", head.round)) news.push(`The ${what} is being retried, round ${head.round}`);
    if (before("cancelling", head.cancelling) && head.cancelling === "yes")
      news.push(`The ${what} is being cancelled: nothing new will start`);
    const unknown = before("unknown", head.unknown);
    if (unknown && Number(head.unknown)) news.push(`Unknown calls to resolve: ${head.unknown}`);
    else if (unknown) news.push("All unknown calls are resolved");
    if (before("down", head.down) !== undefined && head.down) news.push(`Calls paused: ${head.down}`);
    if (before("status", head.status) && ended()) news.push(`The ${what} is ${head.status}`);
    return news;
  }
  function settle() {
    changes();
    if (ended() !== over) {
      over = !over;
      if (over) { hangUp(); schedule(ENDED_MS); }
      else { closedAt = 0; live.dispatchEvent(new CustomEvent("reconnect")); schedule(POLL_MS); }
    }
    show();
  }
  changes();
  show();
  setInterval(show, 1000);
  schedule(over ? ENDED_MS : 1500);
})();
