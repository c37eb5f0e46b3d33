// The coordinated plan: every open fault in its turn, what it waits for, and when it will be over.

import { byId, el, mark, setAttribute, setMark, setText, sync } from '/static/dom.js';
import { duration, plural } from '/static/format.js';

const WAITS = { cause: 'waits: ', place: 'waits for ', time: 'waits for ', person: 'waits: ' };

export function renderRecovery(recovery) {
  byId('recovery-section').hidden = !recovery.faults.length;
  setText(byId('recovery-sum'), summary(recovery));
  const bar = byId('recovery-bar');
  setAttribute(bar, 'aria-valuemax', String(recovery.total));
  setAttribute(bar, 'aria-valuenow', String(recovery.done));
  bar.firstElementChild.style.transform = `scaleX(${recovery.total ? recovery.done / recovery.total : 0})`;
  sync(byId('recovery'), recovery.faults, (one) => one.fault_id, createTurn, updateTurn);
}

function summary(recovery) {
  const parts = [`${recovery.done} of ${plural(recovery.total, 'step')}`];
  if (recovery.expected) parts.push(`over in about ${left(recovery.expected)}`);
  else if (recovery.unknown) parts.push('end unknown');
  return parts.join(', ');
}

function createTurn() {
  const line = el('div', 'line', mark('UNKNOWN'), el('h3', 'name'), el('span', 'chip'), el('span', 'word'), el('span', 'why'), el('span', 'over'));
  const course = el('div', 'course', el('span', 'basis'), el('span', 'objective'));
  return el('li', 'turn', line, el('ul', 'steps'), course, bar());
}

function bar() {
  const node = el('div', 'rto', el('i'));
  node.setAttribute('aria-hidden', 'true');
  return node;
}

function updateTurn(node, one) {
  const state = stateOf(one);
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.name'), one.target.replace(/^[^/]*\//, ''));
  const chip = node.querySelector('.chip');
  setText(chip, one.urgency);
  setAttribute(chip, 'data-severity', one.urgency);
  setAttribute(chip, 'title', one.why);
  setText(node.querySelector('.word'), one.fault.replaceAll('_', ' '));
  const why = node.querySelector('.why');
  setText(why, `${WAITS[one.standing] ?? ''}${one.waits_for}`);
  setAttribute(why, 'title', one.reason || null);
  setText(node.querySelector('.over'), one.expected ? `in about ${left(one.expected)}` : 'end unknown');
  sync(node.querySelector('.steps'), one.steps.map((step, index) => ({ ...step, index })), (step) => step.index, () => el('li'), updateStep);
  setText(node.querySelector('.basis'), [one.why, one.expected?.basis].filter(Boolean).join(' · '));
  updateObjective(node, one);
}

function updateStep(node, step) {
  setAttribute(node, 'data-step', step.state);
  setText(node, step.text);
}

function updateObjective(node, one) {
  const isLate = one.rto_left_s <= 0;
  const objective = node.querySelector('.objective');
  setText(objective, isLate ? `RTO missed by ${duration(-one.rto_left_s)}` : `${duration(one.rto_left_s)} of RTO left${one.is_at_risk ? ', at risk' : ''}`);
  setAttribute(objective, 'class', isLate || one.is_at_risk ? 'objective missed' : 'objective');
  const used = node.querySelector('.rto');
  setAttribute(used, 'data-late', isLate || one.is_at_risk ? '' : null);
  used.firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, 1 - one.rto_left_s / one.rto_s))})`;
}

function stateOf(one) {
  if (one.rto_left_s <= 0 || one.standing === 'person') return 'DOWN';
  if (one.standing === 'settling') return 'UP';
  return one.standing in WAITS ? 'SUPPRESSED' : 'DEGRADED';
}

// Few before tell little: the range says how much.
function left(expected) {
  const likely = duration(Math.max(0, expected.left_s));
  if (!expected.samples) return likely;
  return `${likely} (${duration(Math.max(0, expected.earliest_s))} to ${duration(Math.max(0, expected.latest_s))})`;
}
