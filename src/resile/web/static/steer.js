// The hand on a breaker: trip or reset, with a reason, and a time where it ends by itself.

import { send } from '/static/access.js';
import { el, setText } from '/static/dom.js';
import { count } from '/static/format.js';
import { visible } from '/static/usage.js';

const ORDERS = {
  trip: { label: 'Trip', done: 'Tripped', isTimed: true },
  reset: { label: 'Reset', done: 'Reset', isTimed: false },
};
const TIMES = [['', 'until it probes by itself'], ['60', 'for 1 minute'], ['300', 'for 5 minutes'], ['1800', 'for 30 minutes'], ['3600', 'for 1 hour']];
const WHY_LENGTH_MAX = 200;

export function createButtons(node, page) {
  return Object.keys(ORDERS).map((order) => createButton(order, node, page));
}

export function createSteering() {
  return el('div', 'steering', el('p', 'failed'), el('p', 'restored'));
}

export function updateSteering(node, page) {
  const box = node.querySelector('.steering');
  const isPossible = page.mayDecide && node.group.hasBreaker;
  for (const button of node.querySelectorAll('.buttons button')) {
    button.hidden = !isPossible;
    button.disabled = Boolean(box.querySelector('form'));
  }
  for (const name of ['.failed', '.restored']) box.querySelector(name).hidden = !box.querySelector(name).textContent;
}

function createButton(order, node, page) {
  const button = Object.assign(el('button', order, `${ORDERS[order].label}…`), { type: 'button' });
  button.addEventListener('click', () => openForm(order, node, page));
  return button;
}

function openForm(order, node, page) {
  const box = node.querySelector('.steering');
  for (const name of ['.failed', '.restored']) box.querySelector(name).textContent = '';
  const form = createForm(order, node, page);
  box.prepend(form);
  updateSteering(node, page);
  form.querySelector('input').focus();
}

function createForm(order, node, page) {
  const { label, isTimed } = ORDERS[order];
  const why = Object.assign(document.createElement('input'), { required: true, maxLength: WHY_LENGTH_MAX, placeholder: 'Why? It shows with the breaker, and in the journal', autocomplete: 'off' });
  why.setAttribute('aria-label', `Why ${visible(node.group.guard)} is to ${order}`);
  const time = el('select', '', ...TIMES.map(([value, text]) => Object.assign(el('option', '', text), { value })));
  time.setAttribute('aria-label', 'For how long');
  const submit = Object.assign(el('button', order === 'trip' ? 'kill' : 'commit', `${label} it`), { type: 'submit' });
  const cancel = Object.assign(el('button', '', 'Cancel'), { type: 'button' });
  const form = el('form', 'steer', why, ...(isTimed ? [time] : []), el('div', 'actions', submit, cancel));
  cancel.addEventListener('click', () => close(form, node, page));
  form.addEventListener('keydown', (key) => key.key === 'Escape' && close(form, node, page));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    give(order, form, node, page);
  });
  return form;
}

function close(form, node, page) {
  form.remove();
  updateSteering(node, page);
}

async function give(order, form, node, page) {
  const [why, time] = form.querySelectorAll('input, select');
  for (const field of form.elements) field.disabled = true;
  const box = node.querySelector('.steering');
  try {
    const wish = { guard: node.group.guard, order, why: why.value, who: 'dashboard', ...(time?.value && { for_s: Number(time.value) }) };
    const answer = await send('/api/policies/orders', wish);
    setText(box.querySelector('.restored'), answerOf(order, answer));
    setText(box.querySelector('.failed'), visible(answer.failed.join('\n')));
  } catch (error) {
    box.querySelector('.failed').replaceChildren(`${visible(error.message)} `, el('span', 'muted', visible(error.hint ?? '')));
  }
  close(form, node, page);
  page.onDecided();
}

function answerOf(order, { done, failed, silent }) {
  const all = done + failed.length + silent;
  const rest = silent ? `; ${count(silent)} did not answer` : '';
  return `${ORDERS[order].done} in ${count(done)} of ${count(all)} ${all === 1 ? 'process' : 'processes'}${rest}.`;
}
