// The page of contained runs: first everything once, then again whenever an event says so.

import { signed } from '/static/access.js';
import { say, sayStale } from '/static/banner.js';
import { byId, setText, showEmpty, sync, tickAll } from '/static/dom.js';
import { ago, count, plural } from '/static/format.js';
import { ask, together } from '/static/live.js';
import { keepFresh } from '/static/page.js';
import { createRun, isAtWork, isForced, isUnstarted, isWaiting, updateRun } from '/static/run.js';
import { visible } from '/static/usage.js';

const POLL_MS = 5000;
const POLL_AT_WORK_MS = 1000;

let runs = [];
let lastSeenAt = '';

const page = { mayDecide: false, onDecided: () => refreshSoon(), said: '' };
page.say = (text) => {
  page.said = text;
  setText(byId('sub'), text);
};

async function refresh() {
  try {
    const found = await ask('/api/runs', signed());
    lastSeenAt = new Date().toISOString();
    runs = found.runs;
    page.mayDecide = found.may_decide;
    byId('access').hidden = page.mayDecide;
    showHold(found.held);
    delete document.body.dataset.stale;
    showVerdict();
    render();
    document.body.dataset.ready = '';
  } catch {
    sayStale(lastSeenAt);
  }
}

const refreshSoon = together(refresh, 100);

function render() {
  show(byId('open'), runs.filter((run) => run.is_open), 'No run is open. This begins one:', 'resile run -- COMMAND');
  show(byId('closed'), runs.filter((run) => !run.is_open), 'No run has been closed yet.');
}

function show(list, items, empty, command = '') {
  if (!items.length) showEmpty(list, empty, command);
  else sync(list, items, (run) => run.id, (run) => createRun(run, page), (node, run) => updateRun(node, run, page));
}

function showVerdict() {
  const atWork = runs.filter(isAtWork).length;
  const waiting = runs.filter(isWaiting).length;
  if (!page.said) setText(byId('sub'), `${plural(runs.filter((run) => run.is_open).length, 'run')} open`);
  setText(byId('figure-running'), count(atWork));
  setText(byId('figure-waiting'), count(waiting));
  setText(byId('figure-stopped'), count(runs.filter(isForced).length));
  const unstarted = runs.filter(isUnstarted).length;
  byId('unstarted').hidden = !unstarted;
  setText(byId('figure-unstarted'), count(unstarted));
  if (waiting) say('MAINTENANCE', `${plural(waiting, 'run')} ${waiting === 1 ? 'waits' : 'wait'} for a decision`);
  else if (atWork) say('RUNNING', `${plural(atWork, 'run')} at work`);
  else say('UNKNOWN', 'No run is open');
}

function showHold(held) {
  byId('held').hidden = !held;
  if (held) setText(byId('held-by'), [visible(held.who), held.at && ago(held.at, Date.now()), visible(held.why)].filter(Boolean).join(', '));
}

async function start() {
  await keepFresh({ refresh, refreshSoon, kinds: /^runs?\./ });
  setInterval(refreshSoon, POLL_MS);
  setInterval(() => {
    tickAll();
    if (runs.some(isAtWork)) refreshSoon();
  }, POLL_AT_WORK_MS);
}

start();
