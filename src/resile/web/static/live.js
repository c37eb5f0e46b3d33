// Where the data comes from: questions to the API, and the stream that says when to ask.

const QUESTION_MS_MAX = 4000;
const AGAIN_MS = [500, 1000, 2000, 5000];

export async function ask(path, headers = {}) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(QUESTION_MS_MAX), headers: { accept: 'application/json', ...headers } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// The browser itself reconnects a broken stream; one that was refused is opened anew here.
export function follow({ afterSeq, onEvent, onOpen, onLost }) {
  let last = afterSeq;
  let tries = 0;
  const open = () => {
    const source = new EventSource(`/events?after_seq=${last}`);
    source.onopen = () => {
      tries = 0;
      onOpen();
    };
    source.onmessage = (message) => {
      last = Number(message.lastEventId);
      onEvent(JSON.parse(message.data));
    };
    source.onerror = () => {
      onLost();
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(open, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)]);
    };
  };
  open();
}

// Calls that come together become one, never two at once; the last call is never lost.
export function together(work, waitMs) {
  let timer = null;
  let isBusy = false;
  let isWanted = false;
  const run = async () => {
    timer = null;
    isBusy = true;
    isWanted = false;
    await work();
    isBusy = false;
    if (isWanted) start();
  };
  const start = () => {
    if (isBusy) isWanted = true;
    else timer ??= setTimeout(run, waitMs);
  };
  return start;
}
