// What works in degraded mode in user's processes: a banner under the top line of every page, and its answers.

import { send, signed, takeToken } from '/static/access.js';
import { el, mark, setAttribute, setText, sync } from '/static/dom.js';
import { ask } from '/static/live.js';
import { visible } from '/static/usage.js';

const POLL_MS = 2000;
const LABELS = { retry: 'Retry', continue: 'Continue' };
const MARKS = { CRITICAL: 'DOWN', FAILED: 'DEGRADED', DEGRADED: 'DEGRADED' };

const list = Object.assign(el('ul', 'notices'), { hidden: true });
let mayDecide = false;

// One notice for all processes of a service that tell the same; the worst first.
function groupsOf(notices) {
  const groups = new Map();
  for (const notice of notices) {
    const who = notice.service || notice.program || `process ${notice.pid}`;
    const key = JSON.stringify([who, notice.dependency, notice.text]);
    const group = groups.get(key) ?? { key, who, ...notice, ids: [], processes: new Set() };
    group.ids.push(notice.id);
    group.processes.add(notice.key);
    groups.set(key, group);
  }
  const worst = Object.keys(MARKS);
  return [...groups.values()].sort((a, b) => worst.indexOf(a.state) - worst.indexOf(b.state));
}

async function refresh() {
  try {
    const found = await ask('/api/degradation', signed());
    mayDecide = found.may_decide;
    const groups = groupsOf(found.notices);
    sync(list, groups, (group) => group.key, create, update);
    list.hidden = !groups.length;
    delete list.dataset.stale;
  } catch {
    list.dataset.stale = '';
  }
}

function create() {
  const node = el('li', 'card notice', mark('DEGRADED'), el('div', 'says', el('p', 'title'), el('p', 'told'), el('p', 'failed')), el('div', 'answers'));
  node.querySelector('.answers').append(...Object.keys(LABELS).map((choice) => createButton(choice, node)), el('p', 'ask muted', 'To answer: ', el('code', '', 'resile dashboard')));
  return node;
}

function createButton(choice, node) {
  const button = Object.assign(el('button', choice, LABELS[choice]), { type: 'button' });
  button.addEventListener('click', () => answer(choice, node));
  return button;
}

function update(node, group) {
  node.group = group;
  setAttribute(node, 'data-state', MARKS[group.state] ?? 'DEGRADED');
  setAttribute(node.querySelector('use'), 'href', `#s-${node.dataset.state}`);
  const count = group.processes.size;
  const where = count > 1 ? ` in ${count} processes` : '';
  const what = group.state === 'CRITICAL' ? 'Nothing Answers in Place of' : 'Operating in Degraded Mode:';
  setText(node.querySelector('.title'), `${visible(group.who)}${where}: ${what} ${visible(group.dependency)}`);
  setText(node.querySelector('.told'), visible(group.text));
  for (const [choice, label] of Object.entries(LABELS)) {
    const button = node.querySelector(`button.${choice}`);
    button.hidden = !mayDecide || !group.choices.includes(choice);
    setAttribute(button, 'aria-label', `${label}: ${visible(group.dependency)}`);
  }
  node.querySelector('.ask').hidden = mayDecide;
}

async function answer(choice, node) {
  const buttons = [...node.querySelectorAll('button')];
  for (const button of buttons) button.disabled = true;
  const failed = node.querySelector('.failed');
  setText(failed, '');
  try {
    for (const notice of node.group.ids) await send('/api/degradation/answers', { notice, choice, who: 'dashboard' });
    if (choice === 'retry') setText(failed, 'It is tried now.');
  } catch (error) {
    setText(failed, visible([error.message, error.hint].filter(Boolean).join(' ')));
  }
  for (const button of buttons) button.disabled = false;
  refresh();
}

takeToken();
list.setAttribute('aria-label', 'Degraded mode');
list.setAttribute('aria-live', 'polite');
document.querySelector('.top').after(list);
refresh();
setInterval(refresh, POLL_MS);
