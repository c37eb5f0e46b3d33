// The page of guards: first everything once, then again whenever an event says so, and every other second.

import { signed } from '/static/access.js';
import { say, sayStale } from '/static/banner.js';
import { byId, el, setText, showEmpty, sync, tickAll } from '/static/dom.js';
import { count, share } from '/static/format.js';
import { createGuard, updateGuard } from '/static/guard.js';
import { groupsOf, verdictOf } from '/static/guards.js';
import { ask, together } from '/static/live.js';
import { keepFresh } from '/static/page.js';

const POLL_MS = 2000;

let lastSeenAt = '';

const page = { mayDecide: false, onDecided: () => refreshSoon() };

async function refresh() {
  try {
    const found = await ask('/api/policies', signed());
    lastSeenAt = new Date().toISOString();
    page.mayDecide = found.may_decide;
    byId('access').hidden = page.mayDecide;
    delete document.body.dataset.stale;
    render(found);
    document.body.dataset.ready = '';
  } catch {
    sayStale(lastSeenAt);
  }
}

const refreshSoon = together(refresh, 100);

function render({ policies, processes }) {
  const groups = groupsOf(policies);
  say(...verdictOf(groups));
  if (groups.length) setText(byId('sub'), 'Counts are at most a second old. An order is for every process that has the guard.');
  else byId('sub').replaceChildren('Give one a name: ', el('code', '', 'resile.guard("payments", breaker=True)'));
  showFigures(groups, processes);
  byId('guards').previousElementSibling.hidden = !groups.length;
  if (groups.length) sync(byId('guards'), groups, (group) => group.guard, (group) => createGuard(group, page), (node, group) => updateGuard(node, group, page));
  else showEmpty(byId('guards'), processes ? 'No guard has a name yet.' : 'No process is connected. In a service it happens by itself; elsewhere:', processes ? 'resile.guard("payments", breaker=True)' : 'resile.connect(".resile")');
}

function showFigures(groups, processes) {
  const breakers = groups.filter((group) => group.hasBreaker);
  const calls = groups.reduce((sum, group) => sum + group.calls, 0);
  const failures = groups.reduce((sum, group) => sum + group.failures, 0);
  setText(byId('figure-closed'), breakers.length ? `${breakers.filter((group) => group.state === 'UP').length} / ${breakers.length}` : '–');
  setText(byId('figure-processes'), count(processes));
  setText(byId('figure-calls'), count(calls));
  setText(byId('figure-success'), share(calls ? 1 - failures / calls : null));
}

async function start() {
  await keepFresh({ refresh, refreshSoon, kinds: /^policy\./ });
  setInterval(refreshSoon, POLL_MS);
  setInterval(tickAll, 1000);
}

start();
