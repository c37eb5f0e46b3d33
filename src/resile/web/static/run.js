// One run: its line, and below it what it uses, what it tried, what it would change, what to do.

import { decide, signed } from '/static/access.js';
import { chosenPaths, renderDiff } from '/static/diff.js';
import { el, mark, setAttribute, setMark, setText, setTime, sync } from '/static/dom.js';
import { ago, clock, count, duration, moment, plural } from '/static/format.js';
import { ask } from '/static/live.js';
import { renderUsage, setWords, visible } from '/static/usage.js';

const STATES = { running: 'Running', ready: 'Waiting', committing: 'Committing', committed: 'Committed', discarded: 'Undone' };
const CALM = new Set(['ok', 'exit', 'signal', 'commit_conflict', null]);
const FORCED = new Set(['timeout', 'oom', 'cpu_budget', 'processes', 'disk', 'output', 'violation', 'killed', 'supervisor_lost']);
const SURE_MS = 4000;
const VERBS = {
  commit: { label: 'Commit', done: 'committed' },
  discard: { label: 'Discard', sure: 'Really discard?', done: 'discarded' },
  kill: { label: 'Kill', sure: 'Really kill?', done: 'killed' },
};

export const isAtWork = (run) => run.state === 'running';
export const isWaiting = (run) => run.state === 'ready';
export const isForced = (run) => FORCED.has(run.reason);
export const isUnstarted = (run) => run.reason === 'launch_failed';

export function toneOf(run) {
  if (run.is_orphan) return 'UNKNOWN';
  if (run.state === 'ready') return run.reason === 'ok' ? 'MAINTENANCE' : 'DEGRADED';
  if (run.is_open) return 'RUNNING';
  if (isUnstarted(run)) return 'DEGRADED';
  if (!CALM.has(run.reason)) return 'DOWN';
  return run.state === 'committed' ? 'UP' : 'STOPPED';
}

// `page` is what the page knows and does: { mayDecide, onDecided, say }.
export function createRun(run, page) {
  const summary = el('summary', '', mark('UNKNOWN'), el('code', 'command'), el('span', 'word'), el('span', 'reason'), el('span', 'sum'), el('span', 'took'), el('time', 'ago'));
  const body = el('div', 'body',
    el('p', 'message'), el('p', 'failed'), el('ul', 'meters'), el('div', 'facts'), el('div', 'actions'), el('ul', 'tried'), el('div', 'changed'),
    el('details', 'more', el('summary', '', 'Timeline'), el('ol', 'timeline')));
  const details = el('details', '', summary, body);
  const node = el('li', 'run', details);
  node.dataset.run = run.id;
  details.addEventListener('toggle', () => {
    if (!details.open) return;
    showBody(node, page);
    readMore(node, page);
  });
  return node;
}

export function updateRun(node, run, page) {
  node.run = run;
  setAttribute(node, 'data-state', toneOf(run));
  setMark(node.querySelector('use'), toneOf(run));
  const command = run.command.map(visible).join(' ');
  setText(node.querySelector('.command'), command);
  setAttribute(node.querySelector('.command'), 'title', command);
  setText(node.querySelector('.word'), wordOf(run));
  setText(node.querySelector('.reason'), (run.reason ?? '').replaceAll('_', ' '));
  setText(node.querySelector('.sum'), [run.changes && plural(run.changes, 'change'), run.violations && plural(run.violations, 'violation')].filter(Boolean).join(', '));
  setText(node.querySelector('.took'), duration(secondsOf(run)));
  setTime(node.querySelector('.ago'), run.began_at);
  if (!node.firstChild.open) return;
  showBody(node, page);
  if (run.is_open || node.story?.state !== run.state) readMore(node, page);
}

function wordOf(run) {
  if (run.is_orphan) return 'Lost';
  return isUnstarted(run) && !run.is_open ? 'Not started' : STATES[run.state] ?? run.state;
}

function secondsOf(run) {
  if (isAtWork(run)) return (Date.now() - Date.parse(run.began_at)) / 1000;
  return run.usage.time_s ?? (Date.parse(run.ended_at ?? run.began_at) - Date.parse(run.began_at)) / 1000;
}

function showBody(node, page) {
  const { run } = node;
  setWords(node.querySelector('.message'), run.message);
  const failed = node.querySelector('.failed');
  failed.hidden = !failed.textContent;
  renderUsage(node.querySelector('.meters'), run, secondsOf(run));
  sync(node.querySelector('.facts'), factsOf(run), ([label]) => label, ([label]) => el('span', '', `${label} `, el('b')), (fact, [, text]) => setText(fact.lastChild, visible(text)));
  showActions(node, page);
  if (!isWaiting(run)) node.querySelector('.changed').replaceChildren();
}

function factsOf(run) {
  const settled = run.settled_by ? `${run.settled_by}, ${moment(run.settled_at)}` : '';
  return [
    ['run', run.id],
    ['workspace', run.workspaces.join(', ')],
    ['commit', run.commit],
    ['profile', run.profile],
    ['network', run.limits?.network],
    ['exit code', run.exit_code === null ? '' : String(run.exit_code)],
    ['signal', run.signal],
    ['watched by', isAtWork(run) && run.supervisor_pid ? `process ${run.supervisor_pid}` : ''],
    ['decided by', settled],
  ].filter(([, text]) => text);
}

// What the journal tells and, where there is something to decide, what would change.
async function readMore(node, page) {
  const { run } = node;
  if (node.isReading) return;
  node.isReading = true;
  try {
    node.story = await ask(`/api/runs/${run.id}`);
    showStory(node);
    if (isWaiting(node.story) && !page.mayDecide) {
      node.diffOf = null;
      node.querySelector('.changed').replaceChildren(el('p', 'muted', 'What it changed is shown with the link above, and by ', el('code', '', `resile diff ${run.id}`)));
    } else if (isWaiting(node.story) && node.diffOf !== node.story.changes) {
      renderDiff(node.querySelector('.changed'), await ask(`/api/runs/${run.id}/diff`, signed()), () => showActions(node, page));
      node.diffOf = node.story.changes;
      showActions(node, page);
    }
  } catch {
    // The next refresh asks again, and says if nobody answers.
  } finally {
    node.isReading = false;
  }
}

function showStory(node) {
  const { tried, timeline } = node.story;
  sync(node.querySelector('.tried'), tried.map((one, index) => ({ ...one, index })), (one) => one.index, createTried, () => {});
  node.querySelector('.more').hidden = !timeline.length;
  sync(node.querySelector('.timeline'), timeline, (step) => step.seq, createStep, () => {});
}

function createTried(one) {
  const who = one.command ? `${visible(one.command)}${one.pid ? ` (${one.pid})` : ''}` : '';
  return el('li', '', el('b', 'chip', one.kind.replaceAll('_', ' ')), el('code', '', visible(one.detail)), el('span', 'muted', [who, one.decision].filter(Boolean).join(' · ')));
}

function createStep(step) {
  const time = el('time', '', clock(step.at));
  time.title = moment(step.at);
  return el('li', '', time, el('p', '', visible(step.text || step.kind)));
}

// Decisions -----------------------------------------------------------------------------------

function showActions(node, page) {
  const verbs = page.mayDecide ? verbsOf(node.run) : [];
  const choice = chosenPaths(node.querySelector('.changed'));
  sync(node.querySelector('.actions'), verbs, (verb) => verb, (verb) => createAction(verb, node, page), (button, verb) => {
    const part = verb === 'commit' && !choice.isAll ? ` ${count(choice.paths.length)} of ${count(choice.of)}` : '';
    setText(button, button.isSure ? VERBS[verb].sure : `${VERBS[verb].label}${part}`);
    button.disabled = node.isBusy || (verb === 'commit' && choice.of > 0 && !choice.paths.length);
  });
}

function verbsOf(run) {
  if (isWaiting(run)) return ['commit', 'discard'];
  return isAtWork(run) && !run.is_orphan ? ['kill'] : [];
}

function createAction(verb, node, page) {
  const button = Object.assign(el('button', verb), { type: 'button' });
  button.addEventListener('click', () => {
    if (VERBS[verb].sure && !button.isSure) {
      button.isSure = true;
      setTimeout(() => {
        button.isSure = false;
        showActions(node, page);
      }, SURE_MS);
      showActions(node, page);
    } else carryOut(verb, node, page);
  });
  return button;
}

async function carryOut(verb, node, page) {
  const choice = chosenPaths(node.querySelector('.changed'));
  const failed = node.querySelector('.failed');
  node.isBusy = true;
  failed.textContent = '';
  showBody(node, page);
  try {
    const done = await decide(node.run.id, verb, verb === 'commit' && !choice.isAll ? { paths: choice.paths } : {});
    page.say(`${node.run.id}: ${done.did}${done.changes ? `, ${plural(done.changes, 'change')}` : ''}`);
  } catch (error) {
    const paths = (error.paths ?? []).map(({ path, what }) => el('li', '', el('code', '', visible(path)), ` ${visible(what)}`));
    failed.replaceChildren(`Not ${VERBS[verb].done}: ${visible(error.message)} `, el('span', 'muted', visible(error.hint ?? '')), ...(paths.length ? [el('ul', '', ...paths)] : []));
  }
  node.isBusy = false;
  showBody(node, page);
  page.onDecided();
}
