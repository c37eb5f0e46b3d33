// The verdict with its figures, the connection, and the worst state in title and icon.

import { unanswered } from '/static/banner.js';
import { byId, el, setAttribute, setMark, setText, setTime } from '/static/dom.js';
import { count, plural, share, span } from '/static/format.js';
import { countUp } from '/static/services.js';

const GLYPHS = { UP: '●', DEGRADED: '▲', DOWN: '✖', MAINTENANCE: '◆', SUPPRESSED: '◌', UNKNOWN: '○' };
const ICONS = {
  UP: ['%2310b981', "%3Ccircle cx='8' cy='8' r='7'/%3E"],
  DEGRADED: ['%23f59e0b', "%3Cpath d='M8 1 15.5 14.5H.5z'/%3E"],
  DOWN: ['%23ef4444', "%3Cpath d='M5 1h6l4 4v6l-4 4H5l-4-4V5z'/%3E"],
  MAINTENANCE: ['%233b82f6', "%3Cpath d='M8 .5 15.5 8 8 15.5.5 8z'/%3E"],
};
const UNSURE = ['%23a1a1aa', "%3Cpath d='M8 1a7 7 0 1 0 .01 0zm0 3a4 4 0 1 1-.01 0z'/%3E"];

export function renderHeader(status) {
  setText(byId('name'), status.name);
  showVerdict(status.verdict);
  const parts = [countUp(status.services).text, plural(status.journal.seq, 'record')];
  if (status.brain.started_at) parts.push(`brain up ${span((Date.now() - Date.parse(status.brain.started_at)) / 1000)}`);
  const sub = byId('sub');
  if (status.verdict.hint) sub.replaceChildren('Next: ', el('code', '', status.verdict.hint));
  else setText(sub, parts.join(' · '));
  showFigures(status);
}

// What was last known is not shown as if it were so now.
export function renderStale(lastSeenAt) {
  showVerdict({ state: 'UNKNOWN', text: unanswered(lastSeenAt), since: null });
  byId('sub').replaceChildren('Services go on under the guard. See: ', el('code', '', 'resile status'));
  document.body.dataset.stale = '';
}

function showVerdict(verdict) {
  delete document.body.dataset.stale;
  setAttribute(document.body, 'data-state', verdict.state);
  setMark(byId('mark'), verdict.state);
  setText(byId('verdict'), verdict.text);
  setTime(byId('verdict-since'), verdict.since);
  const title = `${GLYPHS[verdict.state] ?? '○'} ${verdict.text} · resile`;
  if (document.title !== title) document.title = title;
  const [colour, shape] = ICONS[verdict.state] ?? UNSURE;
  setAttribute(byId('favicon'), 'href',
    `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='${colour}'%3E${shape}%3C/svg%3E`);
}

function showFigures(status) {
  const { up, of } = countUp(status.services);
  setText(byId('figure-up'), of ? `${up} / ${of}` : '–');
  const known = status.services.map((service) => service.uptime?.availability).filter((ratio) => typeof ratio === 'number');
  setText(byId('figure-availability'), known.length ? share(known.reduce((sum, ratio) => sum + ratio, 0) / known.length) : '–');
  setText(byId('figure-incidents'), count(status.incidents_open));
}
