"use strict";
// Tries every case from this browser, a few at a time, and says which kind of client it is like.
(() => {
  const AT_A_TIME = 6;
  const PATIENCE = 15000; // milliseconds
  const V2 = 17; // status_request_v2
  const get = (id) => document.getElementById(id);
  const rows = new Map([...document.querySelectorAll("tr[data-case]")].map((row) => [row.dataset.case, row]));

  // What the server at this url did: {how: "loaded" | "refused" | "silent", seen: what the server saw, where it loaded}.
  async function attempt(item) {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), PATIENCE);
    try {
      const options = { cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", signal: giveUp.signal };
      const answer = await fetch(item.url + "seen.json", options);
      return { how: "loaded", seen: await answer.json() };
    } catch {
      return { how: giveUp.signal.aborted ? "silent" : "refused", seen: null };
    } finally {
      clearTimeout(timer);
    }
  }

  function show(id, how, words, note) {
    const cell = rows.get(id).querySelector(".browser");
    cell.className = "browser " + how;
    cell.textContent = words;
    if (note) {
      const small = document.createElement("small");
      small.textContent = note;
      cell.append(" ", small);
    }
  }

  function showTried(item, { how, seen }) {
    if (how === "loaded") show(item.id, how, "loaded", seen.protocol);
    else show(item.id, how, how === "silent" ? "no answer" : "refused");
  }

  function lacking(item, seen) {
    if (item.needs.includes("anchor")) return "needs a root of its own";
    return item.needs.includes("status_request_v2") && !seen.offered.includes(V2) ? "asks status_request_v2" : null;
  }

  async function tryAll(items, done) {
    const waiting = items.values();
    const worker = async () => {
      for (const item of waiting) {
        const result = await attempt(item);
        showTried(item, result);
        done(item, result);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  }

  // For each preset the cases in which the browser did otherwise, the fewest first.
  function ranked(presets, results) {
    const wanted = (item, preset) => (item.expected[preset].outcome === "accepted" ? "loaded" : "refused");
    const differing = (preset) => results.filter(([item, { how }]) => how !== wanted(item, preset));
    return presets
      .map((preset) => ({ preset, differing: differing(preset) }))
      .sort((one, other) => one.differing.length - other.differing.length);
  }

  function showNearest(order, count) {
    const nearest = order.filter((each) => each.differing.length === order[0].differing.length);
    const names = nearest.map((each) => each.preset).join(" or ");
    const apart = order[0].differing.length;
    const like =
      nearest.length < order.length ? `Looks like ${names}` : "Like every kind, which these cases do not tell apart";
    get("summary").textContent =
      `${like}: ` + (apart ? `differs in ${apart} of ${count} cases.` : `as expected in all ${count} cases.`);
    const table = document.createElement("table");
    for (const each of order) {
      const row = table.insertRow();
      row.insertCell().textContent = each.preset;
      row.insertCell().textContent = `${count - each.differing.length} of ${count} alike`;
    }
    get("nearest").replaceChildren(table);
    for (const row of rows.values()) row.classList.remove("differs");
    for (const [item] of order[0].differing) rows.get(item.id).classList.add("differs");
    get("filter").hidden = apart === 0;
  }

  function showOffer(seen) {
    const asked = seen.offered.includes(5) ? "asks servers for a staple" : "asks servers for no staple";
    get("facts").textContent = `It speaks ${seen.protocol} and ${asked}.`;
  }

  async function run() {
    const again = get("again");
    const progress = get("progress");
    again.hidden = true;
    document.body.dataset.state = "trying";
    get("summary").textContent = "Trying the honest case …";
    try {
      const corpus = await (await fetch("/cases.json", { cache: "no-store" })).json();
      const first = await attempt(corpus);
      if (first.how !== "loaded") {
        get("summary").textContent =
          "Even the honest server did not load: this browser does not trust the root yet, or does not find localhost.";
        get("trust").open = true;
        document.body.dataset.state = "untrusted";
        return;
      }
      showOffer(first.seen);
      const can = [];
      for (const item of corpus.cases) {
        const lack = lacking(item, first.seen);
        if (lack) show(item.id, "untried", "not tried", lack);
        else can.push(item);
      }
      const results = [];
      progress.hidden = false;
      progress.max = can.length;
      await tryAll(can, (item, result) => {
        results.push([item, result]);
        progress.value = results.length;
        get("summary").textContent = `Tried ${results.length} of ${can.length} cases …`;
      });
      showNearest(ranked(corpus.presets, results), results.length);
      document.body.dataset.state = "done";
    } catch (error) {
      get("summary").textContent = `The playground did not answer: ${error.message}`;
      document.body.dataset.state = "failed";
    } finally {
      progress.hidden = true;
      again.hidden = false;
    }
  }

  get("again").addEventListener("click", run);
  run();
})();
