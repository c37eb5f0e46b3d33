// The page of the store: first everything once, then again whenever an event says so.

import { signed } from '/static/access.js';
import { say, sayStale } from '/static/banner.js';
import { byId, el, setText, setTime, showEmpty, sync, tickAll } from '/static/dom.js';
import { ago, bytes, clock, count } from '/static/format.js';
import { isBusy, renderKeeper } from '/static/keeper.js';
import { ask, together } from '/static/live.js';
import { createMoment, updateMoment } from '/static/moment.js';
import { keepFresh } from '/static/page.js';
import { createSnapshot, updateSnapshot } from '/static/snapshot.js';
import { renderHealth, verdictOf } from '/static/store_health.js';
import { renderTimeline } from '/static/timeline.js';
import { visible } from '/static/usage.js';

const POLL_MS = 15000;
const POLL_BUSY_MS = 2000;
const SHOWN_AT_ONCE = 50;

let store = null;
let lastSeenAt = '';
let shownMax = SHOWN_AT_ONCE;

let polledMs = 0;

const page = {
  mayDecide: false,
  onDecided: () => refreshSoon(),
  before: (snapshot) => store.snapshots.slice(store.snapshots.findIndex((one) => one.id === snapshot.id) + 1).find((one) => one.source === snapshot.source),
};

async function refresh() {
  try {
    polledMs = Date.now();
    store = await ask('/api/store', signed());
    lastSeenAt = new Date().toISOString();
    page.mayDecide = store.may_decide;
    byId('access').hidden = page.mayDecide;
    delete document.body.dataset.stale;
    showVerdict();
    showTrouble();
    render();
    document.body.dataset.ready = '';
  } catch {
    sayStale(lastSeenAt);
  }
}

const refreshSoon = together(refresh, 100);

function render() {
  const { snapshots, is_cut: isCut, totals } = store;
  byId('timeline-section').hidden = !snapshots.length;
  renderTimeline(byId('timeline'), snapshots, pick);
  renderHealth(store);
  renderKeeper(store.keeper);
  updateMoment(byId('moment'), snapshots, page);
  const shown = snapshots.slice(0, shownMax);
  if (shown.length) sync(byId('snapshots'), shown, (one) => one.id, (one) => createSnapshot(one, page), (node, one) => updateSnapshot(node, one, page));
  else showEmpty(byId('snapshots'), 'There is no snapshot. This takes one:', 'resile snapshot DIR');
  setText(byId('shown'), shown.length < totals.snapshots ? `the newest ${count(shown.length)} of ${count(totals.snapshots)}` : 'newest first');
  byId('further').hidden = shown.length === snapshots.length && !isCut;
  byId('further').firstChild.hidden = shown.length === snapshots.length;
}

function pick(id) {
  const index = store.snapshots.findIndex((one) => one.id === id);
  if (index >= shownMax) shownMax = index + 1;
  render();
  const row = byId('snapshots').querySelector(`[data-snapshot="${CSS.escape(id)}"]`);
  row.firstChild.open = true;
  row.querySelector('summary').focus({ preventScroll: true });
  row.scrollIntoView({ block: 'nearest' });
}

function showVerdict() {
  const [state, text, command] = verdictOf(store);
  say(state, text);
  const place = visible(store.place);
  byId('sub').replaceChildren(...(command ? ['Next: ', el('code', '', command)] : [place]));
  const { totals, health } = store;
  setText(byId('figure-snapshots'), count(totals.snapshots));
  setText(byId('figure-stored'), bytes(totals.store_bytes));
  setText(byId('figure-ratio'), typeof totals.dedup_ratio === 'number' ? `×${ratio(totals.dedup_ratio)}` : '–');
  if (health.verified) setTime(byId('figure-verified'), health.verified.at, ago);
  else setText(byId('figure-verified'), 'never');
  setText(byId('figure-mended'), health.found ? `${count(health.mended)} / ${count(health.found)}` : '–');
}

function ratio(number) {
  return number < 100 ? number.toFixed(1) : count(Math.round(number));
}

function showTrouble() {
  const { trouble, read_at: readAt } = store;
  const note = byId('trouble');
  note.hidden = !trouble;
  if (!trouble) return;
  const known = readAt ? ` What is shown was read at ${clock(readAt)}.` : '';
  note.replaceChildren(`${visible(trouble.text)}.${known} `, ...hintParts(visible(trouble.hint)));
  note.classList.toggle('held', !['missing', 'slow'].includes(trouble.kind));
}

// What is to be typed stands at the end of a hint.
function hintParts(hint) {
  const [, text, command] = /^(.*?)\b(resile [a-z].*)$/s.exec(hint) ?? [null, hint, ''];
  return command ? [text, el('code', '', command)] : [text];
}

async function start() {
  createMoment(page);
  byId('further').firstChild.addEventListener('click', () => {
    shownMax += SHOWN_AT_ONCE;
    render();
  });
  await keepFresh({ refresh, refreshSoon, kinds: /^(snapshot|store|data)\./ });
  setInterval(tickAndPoll, 1000);
}

// What is soon over is looked at more often.
function tickAndPoll() {
  tickAll();
  const isDue = Date.now() - polledMs >= (isBusy(store?.keeper) ? POLL_BUSY_MS : POLL_MS);
  if (isDue) refreshSoon();
}

start();
