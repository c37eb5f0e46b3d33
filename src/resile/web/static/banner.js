// What stands at the top of every page: one sentence, its state, whether the page is live, and notices.

import '/static/degraded.js';
import '/static/switched.js';
import { byId, setAttribute, setMark, setText } from '/static/dom.js';
import { clock } from '/static/format.js';

export function say(state, text) {
  setAttribute(document.body, 'data-state', state);
  setMark(byId('mark'), state);
  setText(byId('verdict'), text);
  document.title = `${text} · resile`;
}

// What was last known is not shown as if it were so now.
export function sayStale(lastSeenAt) {
  say('UNKNOWN', unanswered(lastSeenAt));
  document.body.dataset.stale = '';
}

export function unanswered(lastSeenAt) {
  return `No answer from resile${lastSeenAt ? ` since ${clock(lastSeenAt)}` : ''}`;
}

export function showConnection(isLive) {
  const live = byId('live');
  live.dataset.live = isLive ? 'on' : 'wait';
  setText(live.lastElementChild, isLive ? 'live' : 'reconnecting…');
}
