// The page of drills: first everything once, then again whenever an event says so.

import { say, sayStale } from '/static/banner.js';
import { byId, el, setText, setTime, showEmpty, sync, tickAll } from '/static/dom.js';
import { createCell, updateCell } from '/static/drill_cell.js';
import { renderDrills } from '/static/drill_list.js';
import { renderMatrix } from '/static/drill_matrix.js';
import { agedAt, stateOf, subOf, verdictOf } from '/static/drill_words.js';
import { ago, duration } from '/static/format.js';
import { ask, together } from '/static/live.js';
import { keepFresh } from '/static/page.js';

const POLL_MS = 60000;
const SHOWN_AT_ONCE = 10;
const WORST_FIRST = ['DOWN', 'DEGRADED', 'STOPPED', 'UNKNOWN'];

let found = null;
let lastSeenAt = '';
let isAllShown = false;
let polledMs = 0;

async function refresh() {
  try {
    polledMs = Date.now();
    found = await ask('/api/drill');
    lastSeenAt = new Date().toISOString();
    delete document.body.dataset.stale;
    render();
    document.body.dataset.ready = '';
  } catch {
    sayStale(lastSeenAt);
  }
}

const refreshSoon = together(refresh, 100);

function render() {
  showVerdict();
  showFigures();
  renderMatrix(found.cells, pick);
  renderCells();
  renderDrills(found.drills);
}

function showVerdict() {
  const [state, text, command] = verdictOf(found);
  say(state, text);
  byId('sub').replaceChildren(...(command ? ['This breaks what is declared, one after the other: ', el('code', '', command)] : [subOf(found)]));
}

function showFigures() {
  const { score, cells, drills } = found;
  const slowest = Math.max(-1, ...cells.filter((cell) => cell.last?.verdict === 'passed').map((cell) => cell.last.recovered_s ?? -1));
  setText(byId('figure-score'), score.cells ? `${score.points}` : '–');
  setText(byId('figure-proven'), score.cells ? `${score.proven} / ${score.cells}` : '–');
  setText(byId('figure-slowest'), slowest < 0 ? '–' : duration(slowest));
  if (drills.length) setTime(byId('figure-last'), drills[0].ended_at ?? drills[0].began_at, ago);
  else setText(byId('figure-last'), 'never');
}

function renderCells() {
  const open = found.cells.filter((cell) => stateOf(cell) !== 'UP').sort((one, other) => rank(one) - rank(other));
  const proven = found.cells.filter((cell) => stateOf(cell) === 'UP').sort((one, other) => agedAt(one).localeCompare(agedAt(other)));
  const tried = open.filter((cell) => cell.last).length;
  setText(byId('open-count'), tried ? 'those that did not pass first' : '');
  renderSome(byId('cells'), open, Math.max(tried, SHOWN_AT_ONCE));
  if (!open.length) showEmpty(byId('cells'), proven.length ? 'Everything that is declared is proven.' : 'Nothing is declared that could break.');
  byId('proven-section').hidden = !proven.length;
  renderSome(byId('proven'), proven, SHOWN_AT_ONCE);
}

function renderSome(list, cells, most) {
  const shown = isAllShown ? cells : cells.slice(0, most);
  sync(list, shown, (cell) => cell.cell, createCell, updateCell);
  const further = list.nextElementSibling;
  further.hidden = shown.length === cells.length;
  setText(further.firstChild, `Show all ${cells.length}`);
}

function rank(cell) {
  return WORST_FIRST.indexOf(stateOf(cell));
}

function showAll() {
  isAllShown = true;
  renderCells();
}

function pick(id) {
  showAll();
  const row = document.querySelector(`.cell[data-cell="${CSS.escape(id)}"]`);
  row.firstChild.open = true;
  row.querySelector('summary').focus({ preventScroll: true });
  row.scrollIntoView({ block: 'nearest' });
}

async function start() {
  for (const button of document.querySelectorAll('.further button')) button.addEventListener('click', showAll);
  await keepFresh({ refresh, refreshSoon, kinds: /^drill\./ });
  setInterval(tickAndPoll, 1000);
}

// Proofs fade without an event.
function tickAndPoll() {
  tickAll();
  if (Date.now() - polledMs >= POLL_MS) refreshSoon();
}

start();
