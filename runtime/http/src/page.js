"use strict";
// Pictures older than this are not what is there; they are covered.
const STALE_MS = 2000;
const wait = ms => new Promise(done => setTimeout(done, ms));
const at = id => document.getElementById(id);

function rows(id, lines) {
  const body = at(id).tBodies[0];
  body.replaceChildren(...lines.map(cells => {
    const row = document.createElement("tr");
    row.append(...cells.map((text, i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

// Asks for one picture after the other, the next one when this one is there: a slow connection gets fewer.
async function show(name, pause_ms) {
  const figure = at(name), image = figure.querySelector("img"), note = figure.querySelector("p");
  let number = 0, made = -Infinity, url = null;
  for (;;) {
    try {
      const answer = await fetch(`/${name}.jpg?after=${number}`);
      if (answer.status === 200) {
        const bytes = await answer.blob();
        number = Number(answer.headers.get("X-Number"));
        made = performance.now() - Number(answer.headers.get("X-Age-Ms"));
        const next = URL.createObjectURL(bytes);
        image.src = next;
        await image.decode().catch(() => {});
        if (url) URL.revokeObjectURL(url);
        url = next;
      }
    } catch {
      await wait(1000);
    }
    const age_ms = performance.now() - made;
    figure.classList.toggle("off", age_ms > STALE_MS);
    note.textContent = made === -Infinity ? "no picture" : `offline: the last picture is ${(age_ms / 1000).toFixed(0)} s old`;
    await wait(pause_ms);
  }
}

async function tell() {
  let before = null;
  for (;;) {
    try {
      const state = await (await fetch("/state.json")).json();
      const now = performance.now();
      const rate = (get, digits = 1) => before
        ? (Math.max(0, get(state) - get(before.state)) / Math.max(1e-3, (now - before.now) / 1000)).toFixed(digits) : "";
      at("state").textContent = state.ready.ok ? "ready" : state.ready.reasons.join("; ");
      at("state").className = state.ready.ok ? "good" : "bad";
      const unused = c => c.dropped_before_pairing + c.pairing.no_partner + c.pairing.partner_nearer_to_another
        + c.pairing.not_later + c.pairing.window_full + c.pairing.unfit;
      const sum = counts => counts.reduce((a, b) => a + b, 0);
      rows("cameras", ["infrared", "visible"].map((name, i) => {
        const c = state.cameras[i];
        return [name, state.faults[i] ?? c.state, rate(s => s.cameras[i].delivered), c.delivered, unused(c), c.lost];
      }));
      const age = state.last_result_age_s;
      rows("run", [
        ["results/s", rate(s => sum(s.results))],
        ["now", state.state === null ? "no result yet" : state.state.replace("_", " ")],
        ["results", sum(state.results)],
        ["age of the last", age === null ? "none yet" : `${(age * 1000).toFixed(0)} ms`],
        ["dropped before the model", sum(state.dropped_before_inference)],
        ["detections/s", rate(s => s.detections)],
        ["running for", `${state.seconds.toFixed(0)} s (${state.phase})`],
        ["model on", state.provider_reason ? `${state.provider}: ${state.provider_reason}` : state.provider],
      ]);
      rows("sinks", state.sinks.map(s => [s.sink, s.dropped, s.missed, s.has_ended ? "ended" : "open"]));
      before = { state, now };
    } catch {
      at("state").textContent = "the run does not answer";
      at("state").className = "bad";
      before = null;
    }
    await wait(500);
  }
}

show("fused", 40);
show("infrared", 250);
show("visible", 250);
tell();
