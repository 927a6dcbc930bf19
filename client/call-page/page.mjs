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
  const { call } = client;
  if (call) sessionStorage.setItem('callId', call.id);
  else if (!resumed) sessionStorage.removeItem('callId');
  element('status').textContent = statusOf(client);
  play(element('me'), client.media.stream);
  showEach(
    element('calls'),
    client.others.map(({ id }) => id),
    createJoinButton,
  );
  const others = (call?.participants ?? []).filter(({ userId }) => userId !== user.id);
  showEach(
    element('others'),
    others.map(({ userId }) => userId),
    createFigure,
  );
  for (const participant of others) showParticipant(participant);
}

/** Shows one child for each id. A child stays where it is: moving it pauses its video, and a click on it gets lost. */
function showEach(container, ids, create) {
  for (const child of [...container.children]) if (!ids.includes(child.dataset.id)) child.remove();
  for (const id of ids.filter((one) => !childOf(container, one))) {
    const child = create(id);
    child.dataset.id = id;
    container.append(child);
  }
}

function childOf(container, id) {
  return container.querySelector(`:scope > [data-id="${id}"]`);
}

function createJoinButton(callId) {
  const button = document.createElement('button');
  button.textContent = `Join call ${callId}`;
  button.addEventListener('click', () => act(() => client.join(callId)));
  return button;
}

function createFigure() {
  return element('participant').content.firstElementChild.cloneNode(true);
}

function statusOf({ call, ringing, latest }) {
  if (call) return `In a call: ${call.state}`;
  if (ringing) return 'Somebody calls you.';
  return latest?.state === 'ended' ? `The call has ended: ${latest.endReason}` : '';
}

function showParticipant(participant) {
  const { userId, state, connected, audio, video, screen, hand } = participant;
  const states = { away: state === 'joined' && !connected, muted: !audio, 'no camera': !video, screen, hand };
  const names = Object.keys(states).filter((name) => states[name]);
  const figure = childOf(element('others'), userId);
  figure.querySelector('figcaption').textContent = [userId, state, ...names].join(', ');
  play(figure.querySelector('video'), client.mesh.streamOf(participant));
}

function play(video, stream = null) {
  if (video.srcObject !== stream) video.srcObject = stream;
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
