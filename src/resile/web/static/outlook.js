// Health scores with what was taken off, and what is expected to run out.

import { byId, el, mark, setAttribute, setText, sync } from '/static/dom.js';
import { bytes, count, duration } from '/static/format.js';

const STATES = { HEALTHY: 'UP', DEGRADED: 'DEGRADED', FAILED: 'DOWN', CRITICAL: 'DOWN' };
const IN_BYTES = ['memory', 'disk'];

export function renderOutlook(status) {
  const figure = byId('figure-health');
  setText(figure, status.health ? String(status.health.score) : '–');
  setAttribute(figure, 'title', status.health ? explain(status.health) : null);
  const predictions = status.predictions ?? [];
  byId('predictions-section').hidden = !predictions.length;
  sync(byId('predictions'), predictions, (one) => one.id, createPrediction, updatePrediction);
}

// The fact on a service's card; none while nothing is known of it.
export function scoreFact(health) {
  if (!health) return [];
  return [{ label: 'score', text: `${health.score}${arrow(health.change)}`, state: STATES[health.grade] ?? 'UNKNOWN', title: explain(health) }];
}

function explain(health) {
  if (!health.deductions.length) return 'nothing is taken off';
  return health.deductions.map((one) => `−${one.points} ${one.what}: ${one.why}`).join('\n');
}

function arrow(change) {
  const points = Math.round(change ?? 0);
  if (!points) return '';
  return points > 0 ? ` ▲${points}` : ` ▼${-points}`;
}

function createPrediction() {
  const line = el('div', 'line', mark('DEGRADED'), el('h3', 'name'), el('span', 'word'), el('span', 'why'), el('span', 'ms'));
  const node = el('li', 'check', line);
  node.dataset.state = 'DEGRADED';
  return node;
}

function updatePrediction(node, one) {
  setText(node.querySelector('.name'), one.target.replace(/^[^/]*\//, ''));
  setText(node.querySelector('.word'), one.resource);
  const parts = one.detail ? [one.detail] : [];
  if (one.limit) parts.push(`${amount(one, one.used)} of ${amount(one, one.limit)} used`);
  parts.push(`${Math.round(one.confidence * 100)} % confidence`);
  setText(node.querySelector('.why'), parts.join(', '));
  setText(node.querySelector('.ms'), `in about ${duration(one.left_s)}`);
}

function amount(one, number) {
  return IN_BYTES.includes(one.resource) ? bytes(number) : count(Math.round(number));
}
