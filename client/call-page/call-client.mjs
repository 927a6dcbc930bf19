import { io } from 'socket.io-client';
import { LocalMedia } from './local-media.mjs';
import { Mesh } from './mesh.mjs';
import { QualityMeter } from './quality.mjs';

const ACK_TIMEOUT_MS = 10_000;
/** The time before something that has failed is tried again. */
const RETRY_MS = 1000;
/** How long before their expiry the credentials of the TURN servers are renewed. */
const RENEWAL_MS = 60_000;
/** How often the quality of the connections is reported to the server. */
const REPORT_MS = 10_000;

/** Errors of `call:join` after which this page cannot resume the call. */
const FINAL_ERRORS = [
  'call_ended',
  'call_full',
  'answered_elsewhere',
  'not_in_call',
  'not_found',
  'forbidden',
];

/**
 * The calls of one user on one page. The server stores the call: this class sends what the user does, shows the state
 * that `call:updated` brings, and connects to the other participants.
 */
export class CallClient {
  /** The call that the user is in on this page. @type {object | undefined} */
  call;
  /** A call that rings on this page. @type {object | undefined} */
  ringing;
  /** The newest state of the call that the user was last in on this page. @type {object | undefined} */
  latest;
  socket;
  mesh;
  media = new LocalMedia((track) => this.mesh.replaceTrack(track));
  #server;
  #userId;
  #getToken;
  #onChange;
  #callId;
  /** The newest known state of each call. Events and acknowledgements may arrive in any order. */
  #calls = new Map();
  #entering = false;
  #resuming = false;
  #renewal;
  #quality;
  #reporting;

  /**
   * @param {object} options
   * @param {string} options.server the URL of the Parley server.
   * @param {string} options.userId the id of the user.
   * @param {() => string | Promise<string>} options.getToken returns a valid access token.
   * @param {() => void} options.onChange is called when anything that this object shows has changed.
   * @param {RTCConfiguration} [options.rtcOptions] options for RTCPeerConnection beside the ICE servers.
   */
  constructor({ server, userId, getToken, onChange, rtcOptions = {} }) {
    this.#server = new URL(server);
    this.#userId = userId;
    this.#getToken = getToken;
    this.#onChange = onChange;
    this.mesh = new Mesh({
      server: this.#server,
      rtcOptions,
      stream: () => this.media.stream,
      onChange,
      onReplaced: () => this.#forget(),
      onDisconnected: (wasOpen) => void this.#resume(wasOpen ? 0 : RETRY_MS),
    });
    this.socket = io(server, { auth: async (send) => send({ token: await getToken() }) });
    this.socket.on('call:ringing', ({ call }) => this.#apply(call));
    this.socket.on('call:updated', ({ call }) => this.#apply(call));
    this.socket.on('call:removed', ({ callId }) => callId === this.#callId && this.#forget());
    this.socket.on('auth:ended', () => this.#forget());
    this.socket.on('connect', () => this.#catchUp().catch((error) => console.info(error.message)));
    this.socket.on('server:closing', ({ reconnectAfter }) =>
      this.socket.io.reconnectionDelay(reconnectAfter),
    );
  }

  /** Calls a user `{userId}`, or members of a channel `{channelId, userIds}`. */
  async start(target, media = 'video') {
    await this.#enter('call:start', { ...target, media }, media === 'video');
  }

  async accept() {
    const { id: callId, media } = this.ringing;
    await this.#enter('call:accept', { callId }, media === 'video');
  }

  /** Joins a call that goes on. If this user is in it on another page, they move to this one. */
  async join(callId) {
    const { call } = await this.#read(callId);
    const own = this.#own(call);
    await this.#enter('call:join', { callId }, own?.state === 'joined' ? own.video : call.media === 'video');
  }

  /** The calls that go on in the user's channels, and that they are not in on this page. */
  get others() {
    return [...this.#calls.values()].filter(({ id, state }) => state !== 'ended' && id !== this.#callId);
  }

  async decline() {
    this.#apply((await this.#ask('call:decline', { callId: this.ringing.id })).call);
  }

  async hangUp() {
    const callId = this.#callId;
    this.#forget();
    this.#apply((await this.#ask('call:leave', { callId })).call);
  }

  async setAudio(on) {
    this.media.setMicrophone(on);
    await this.#setMedia({ audio: on });
  }

  async setVideo(on) {
    await this.media.setCamera(on);
    await this.#setMedia({ video: on });
  }

  async setScreen(on) {
    // Browsers show a control of their own that ends the sharing.
    if (on) await this.media.shareScreen(() => void this.setScreen(false));
    else this.media.stopScreen();
    await this.#setMedia({ screen: on });
  }

  async setHand(on) {
    await this.#setMedia({ hand: on });
  }

  /** Reports the quality of the connections, which administrators see. */
  async reportQuality() {
    const { mesh, call } = this;
    const others = call?.participants.filter(
      ({ peerId, state }) => state === 'joined' && peerId !== mesh.peerId,
    );
    const reports = await this.#quality?.measure(others ?? [], (peerId) => mesh.connectionTo(peerId));
    if (reports?.length > 0) await this.#ask('call:report_quality', { callId: call.id, reports });
  }

  async #ask(event, payload) {
    const answer = await this.socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload);
    if (!answer.ok) throw Object.assign(new Error(answer.error.message), answer.error);
    return answer.data;
  }

  async #setMedia(state) {
    this.#apply((await this.#ask('call:set_media', { callId: this.#callId, ...state })).call);
  }

  /** Reads over REST. */
  async #read(path) {
    const response = await fetch(new URL(`/api/video-calls/${path}`, this.#server), {
      headers: { Authorization: `Bearer ${await this.#getToken()}` },
    });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }

  #own({ participants }) {
    return participants.find(({ userId }) => userId === this.#userId);
  }

  /** Takes part in a call. It asks the user for the camera first, so that a refusal leaves no call behind. */
  async #enter(event, payload, video) {
    if (this.#callId !== undefined || this.#entering) throw new Error('Hang up first.');
    this.#entering = true;
    try {
      await this.media.open(video);
      const { call, connection } = await this.#ask(event, payload);
      // Everybody is busy: the call has ended already.
      if (!connection) {
        this.media.close();
        this.latest = call;
        return this.#apply(call);
      }
      // Who has muted the microphone on another page, or before a reload, stays muted.
      this.media.setMicrophone(this.#own(call).audio);
      this.#callId = call.id;
      this.#quality = new QualityMeter();
      this.#reporting = setInterval(
        () => this.reportQuality().catch((error) => console.info(error.message)),
        REPORT_MS,
      );
      this.#register(connection);
      this.#apply(call);
    } catch (error) {
      this.media.close();
      throw error;
    } finally {
      this.#entering = false;
    }
  }

  #register(connection) {
    this.mesh.register(connection);
    clearTimeout(this.#renewal);
    if (connection.iceExpiresAt === null) return;
    const remaining = Date.parse(connection.iceExpiresAt) - Date.now() - RENEWAL_MS;
    this.#renewal = setTimeout(() => void this.#resume(0), Math.max(remaining, RENEWAL_MS));
  }

  /** Shows a state of a call, unless a newer one is known. */
  #apply(state) {
    const known = this.#calls.get(state.id);
    const call = known && known.version > state.version ? known : state;
    this.#calls.set(call.id, call);
    const me = this.#own(call);
    if (me?.state === 'ringing') this.ringing = call;
    else if (this.ringing?.id === call.id) this.ringing = undefined;
    if (call.id === (this.#callId ?? this.latest?.id)) this.latest = call;
    // While this page resumes the call, the answer of the server decides.
    if (call.id === this.#callId && !this.#resuming) {
      // When the user has joined on another page, their peer id is another one.
      if (me?.state !== 'joined' || me.peerId !== this.mesh.peerId) return this.#forget();
      this.call = call;
      this.mesh.update(call.participants.filter((one) => one !== me && one.state === 'joined'));
    }
    this.#onChange();
  }

  /** Takes no part any longer: the call has ended, or the user is no longer in it on this page. */
  #forget() {
    this.call = this.#callId = this.#quality = undefined;
    clearTimeout(this.#renewal);
    clearInterval(this.#reporting);
    this.mesh.close();
    this.media.close();
    this.#onChange();
  }

  /** Resumes the call after a lost connection, or renews its credentials, until the server accepts or refuses. */
  async #resume(delay) {
    if (this.#resuming) return;
    this.#resuming = true;
    const callId = this.#callId;
    let answer;
    while (!answer && callId !== undefined && callId === this.#callId) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      try {
        // Socket.IO sends this as soon as it is connected again itself.
        answer = await this.#ask('call:join', { callId, peerId: this.mesh.peerId });
      } catch (error) {
        if (callId === this.#callId && FINAL_ERRORS.includes(error.code)) this.#forget();
        delay = RETRY_MS;
      }
    }
    this.#resuming = false;
    if (!answer || callId !== this.#callId) return;
    // The server had removed this page from the call already: it starts anew, with another peer id.
    if (answer.connection.peerId !== this.mesh.peerId) this.mesh.close();
    this.#register(answer.connection);
    this.#apply(answer.call);
  }

  /** Reads what this page has missed while it was not connected. */
  async #catchUp() {
    this.socket.io.reconnectionDelay(RETRY_MS);
    const { calls } = await this.#read('active');
    for (const call of calls) this.#apply(call);
    for (const known of [this.call, this.ringing]) {
      if (known && !calls.some(({ id }) => id === known.id)) this.#apply((await this.#read(known.id)).call);
    }
  }
}
