/**
 * The page: `#server=http://localhost:3000&token=<access token>`. `relay=true` connects through TURN alone, to test it.
 */
import { CallClient } from './call-client.mjs';

const parameters = new URLSearchParams(location.hash.slice(1));
const server = parameters.get('server');
const token = parameters.get('token');
const element = (id) => document.getElementById(id);

const { user } = await fetch(new URL('/api/auth/me', server), {
  headers: { Authorization: `Bearer ${token}` },
}).then((response) => response.json());

/** The call that this tab was in before the page was reloaded. */
let resumed = sessionStorage.getItem('callId');

const client = new CallClient({
  server,
  userId: user.id,
  getToken: () => token,
  onChange: show,
  rtcOptions: parameters.get('relay') === 'true' ? { iceTransportPolicy: 'relay' } : {},
});

function show() {
  const { call, ringing } = client;
  if (call) sessionStorage.setItem('callId', call.id);
  else if (!resumed) sessionStorage.removeItem('callId');
  element('status').textContent = statusOf(client);
  element('me').srcObject = client.media.stream ?? null;
  element('calls').replaceChildren(...client.others.map(showJoin));
  const others = (call?.participants ?? []).filter(({ userId }) => userId !== user.id);
  for (const participant of others) showParticipant(participant);
  for (const [userId, figure] of figures) {
    if (!others.some((participant) => participant.userId === userId)) figure.remove();
  }
}

function showJoin({ id, channelId }) {
  const button = document.createElement('button');
  button.textContent = `Join the call in ${channelId}`;
  button.addEventListener('click', () => act(() => client.join(id)));
  return button;
}

function statusOf({ call, ringing, latest }) {
  if (call) return `In a call: ${call.state}`;
  if (ringing) return 'Somebody calls you.';
  return latest?.state === 'ended' ? `The call has ended: ${latest.endReason}` : '';
}

/** What is displayed of each participant. A figure stays where it is: a video pauses when it is moved in the document. */
const figures = new Map();

function showParticipant(participant) {
  const { userId, state, connected, audio, video, screen, hand } = participant;
  const figure = figures.get(userId) ?? element('participant').content.firstElementChild.cloneNode(true);
  figures.set(userId, figure);
  if (!figure.isConnected) element('others').append(figure);
  const states = { away: state === 'joined' && !connected, muted: !audio, 'no camera': !video, screen, hand };
  const names = Object.keys(states).filter((name) => states[name]);
  figure.querySelector('figcaption').textContent = [userId, state, ...names].join(', ');
  const stream = client.mesh.streamOf(participant) ?? null;
  const display = figure.querySelector('video');
  if (display.srcObject !== stream) display.srcObject = stream;
}

const own = () => client.call.participants.find(({ userId }) => userId === user.id);
const actions = {
  call: () =>
    client.start(
      element('channel').value ? { channelId: element('channel').value } : { userId: element('user').value },
    ),
  accept: () => client.accept(),
  decline: () => client.decline(),
  hangUp: () => client.hangUp(),
  audio: () => client.setAudio(!own().audio),
  video: () => client.setVideo(!own().video),
  screen: () => client.setScreen(!own().screen),
  hand: () => client.setHand(!own().hand),
};
for (const [id, action] of Object.entries(actions)) element(id).addEventListener('click', () => act(action));

async function act(action) {
  try {
    await action();
  } catch ({ message }) {
    alert(message);
  }
}

if (resumed) {
  client
    .join(resumed)
    .catch(({ message }) => console.info(message))
    .finally(() => {
      resumed = null;
      show();
    });
}

/** For the console, and for tests. */
globalThis.parley = client;
