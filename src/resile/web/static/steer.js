// The hand on a breaker: trip or reset, with a reason, and a time where it ends by itself.

import { send } from '/static/access.js';
import { createBox, createButton, createSelect, createWhy, isAsking, openForm, showBox } from '/static/asked.js';
import { count } from '/static/format.js';
import { visible } from '/static/usage.js';

const ORDERS = {
  trip: { label: 'Trip', done: 'Tripped', style: 'kill', isTimed: true },
  reset: { label: 'Reset', done: 'Reset', style: 'commit', isTimed: false },
};
const TIMES = [['', 'until it probes by itself'], ['60', 'for 1 minute'], ['300', 'for 5 minutes'], ['1800', 'for 30 minutes'], ['3600', 'for 1 hour']];

export function createButtons(node, page) {
  return Object.keys(ORDERS).map((order) => createButton(`${ORDERS[order].label}…`, order, (button) => ask(order, node, page, button)));
}

export const createSteering = createBox;

export function updateSteering(node, page) {
  const box = node.querySelector('.steering');
  const isPossible = page.mayDecide && node.group.hasBreaker;
  for (const button of node.querySelectorAll('.buttons button')) {
    button.hidden = !isPossible;
    button.disabled = isAsking(box);
  }
  showBox(box);
}

function ask(order, node, page, opener) {
  const { label, style, isTimed } = ORDERS[order];
  const why = createWhy('Why? It shows with the breaker, and in the journal', `Why ${visible(node.group.guard)} is to ${order}`);
  const time = isTimed ? createSelect(TIMES, 'For how long') : null;
  openForm(node.querySelector('.steering'), {
    fields: time ? [why, time] : [why],
    label: `${label} it`,
    style,
    work: () => give(order, why.value, time?.value, node, page),
    show: () => updateSteering(node, page),
  }, opener);
}

async function give(order, why, seconds, node, page) {
  try {
    const wish = { guard: node.group.guard, order, why, who: 'dashboard', ...(seconds && { for_s: Number(seconds) }) };
    const answer = await send('/api/policies/orders', wish);
    return [answerOf(order, answer), visible(answer.failed.join('\n'))];
  } finally {
    page.onDecided();
  }
}

function answerOf(order, { done, failed, silent }) {
  const all = done + failed.length + silent;
  const rest = silent ? `; ${count(silent)} did not answer` : '';
  return `${ORDERS[order].done} in ${count(done)} of ${count(all)} ${all === 1 ? 'process' : 'processes'}${rest}.`;
}
