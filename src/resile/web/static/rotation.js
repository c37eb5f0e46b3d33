// A rotation that goes on, step by step, and what it waits for.

import { el, setAttribute, setText, setTime, sync } from '/static/dom.js';
import { ago, duration } from '/static/format.js';
import { visible } from '/static/usage.js';

const STEPS = ['begun', 'prepared', 'set', 'verified', 'promoted', 'drained', 'retired'];
const MEANINGS = {
  begun: 'taken on; nothing has changed',
  prepared: 'the new value is kept, as a candidate',
  set: 'the target takes the new one, too',
  verified: 'the new one was tried, and works',
  promoted: 'the new one is current; the old one is still valid',
  drained: 'nobody uses the old one any more',
  retired: 'the old one opens nothing any more',
};
const REASONS = {
  scheduled: 'Scheduled rotation',
  manual: 'Rotation by hand',
  anomaly: 'Rotation after odd access',
  compromise: 'Rotation because somebody else has it',
};
const SAID = { done: 'done', now: 'under way', held: 'waits', todo: 'to come' };

export const isHeld = (rotation) => Boolean(rotation.waits_for.length || rotation.why);

export function createRotation() {
  const steps = el('ol', 'steps');
  steps.setAttribute('aria-label', 'Steps of the rotation');
  return el('div', 'rotation', el('p', 'course'), steps, el('p', 'reason'));
}

export function updateRotation(node, rotation) {
  node.hidden = !rotation;
  if (!rotation) return;
  const [course] = node.children;
  if (!course.firstElementChild) course.append(el('span'), el('time', 'ago'));
  setText(course.firstChild, `${REASONS[rotation.reason] ?? visible(rotation.reason)}, begun `);
  setTime(course.lastChild, rotation.steps[0]?.at ?? null, ago);
  sync(node.querySelector('.steps'), stepsOf(rotation), ({ step }) => step, createStep, updateStep);
  setText(node.querySelector('.reason'), heldBy(rotation));
  node.querySelector('.reason').hidden = !isHeld(rotation);
}

// The last step that was reached is done; the one after it is what is worked on.
function stepsOf(rotation) {
  const reached = STEPS.indexOf(rotation.step);
  const times = new Map(rotation.steps.map(({ step, at }) => [step, Date.parse(at)]));
  return STEPS.map((step, index) => ({
    step,
    stage: index <= reached ? 'done' : index > reached + 1 ? 'todo' : isHeld(rotation) ? 'held' : 'now',
    afterMs: index > 0 && times.has(step) ? times.get(step) - times.get('begun') : NaN,
  }));
}

function createStep({ step }) {
  const node = el('li', '', el('span', 'step', step), el('span', 'unseen'), el('span', 'after muted'));
  node.title = MEANINGS[step];
  return node;
}

function updateStep(node, { stage, afterMs }) {
  setAttribute(node, 'data-stage', stage);
  setAttribute(node, 'aria-current', stage === 'now' || stage === 'held' ? 'step' : null);
  setText(node.children[1], `, ${SAID[stage]}`);
  setText(node.lastChild, Number.isNaN(afterMs) ? (stage === 'held' ? 'waits' : '') : `+${duration(afterMs / 1000)}`);
}

export function heldBy({ waits_for: whom, why }) {
  const parts = [whom.length ? `Waits for ${whom.map(visible).join(', ')}` : '', visible(why)];
  return parts.filter(Boolean).join(': ');
}
