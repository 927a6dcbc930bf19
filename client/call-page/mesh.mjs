import { Peer } from 'peerjs';

/** The time in which the other side must answer a connection before it is offered again. */
const ANSWER_TIMEOUT_MS = 8000;
/** The time before a connection that has failed is offered again. */
const RETRY_MS = 1000;

/**
 * The media connections of one page to all other participants of a call, over PeerJS. Of two participants, the one with
 * the greater peer id calls the other.
 *
 * A peer id belongs to one page. A page that loses its connection to the server registers its peer id again, and keeps
 * its media connections. A page that is reloaded gets a new peer id, by which the others know that they must connect
 * again.
 */
export class Mesh {
  /** The peer id of this page; undefined while it is in no call. @type {string | undefined} */
  peerId;
  #options;
  /** @type {Peer | undefined} */
  #peer;
  /** The connections by the peer id of the other side. @type {Map<string, import('peerjs').MediaConnection>} */
  #links = new Map();
  /** The participants to connect to. */
  #others = [];

  /**
   * @param {object} options
   * @param {URL} options.server the URL of the Parley server.
   * @param {RTCConfiguration} options.rtcOptions options for RTCPeerConnection beside the ICE servers.
   * @param {() => MediaStream} options.stream returns what this page sends.
   * @param {() => void} options.onChange is called when a stream has come or gone.
   * @param {(wasOpen: boolean) => void} options.onDisconnected is called when the connection to the server is lost, or
   *   could not be opened. A new ticket is required for `register`.
   * @param {() => void} options.onReplaced is called when another page has registered the peer id of this one.
   */
  constructor(options) {
    this.#options = options;
  }

  /** Registers with what the server has answered, for the first time or after `onDisconnected`. */
  register({ peerId, ticket, iceServers }) {
    this.peerId = peerId;
    const config = { ...this.#options.rtcOptions, iceServers };
    if (!this.#peer || this.#peer.destroyed) {
      this.#peer = this.#createPeer(ticket, config);
      return;
    }
    Object.assign(this.#peer.options, { token: ticket, config });
    if (this.#peer.disconnected) this.#peer.reconnect();
  }

  /** Connects to these participants, and closes the connections to those who have gone. */
  update(others) {
    const gone = this.#others.filter(({ peerId }) => !others.some((other) => other.peerId === peerId));
    this.#others = others;
    for (const { peerId } of gone) this.#remove(peerId);
    this.#callOthers();
  }

  close() {
    const peer = this.#peer;
    this.peerId = this.#peer = undefined;
    this.#others = [];
    this.#links.clear();
    peer?.destroy();
  }

  /** Whether the others can connect to this page. */
  get isRegistered() {
    return this.#peer?.open === true;
  }

  /** The stream that a participant sends; undefined while there is no connection to them. */
  streamOf({ peerId }) {
    return this.#links.get(peerId)?.remoteStream ?? undefined;
  }

  /** The connection to a participant. @returns {RTCPeerConnection | undefined} */
  connectionTo(peerId) {
    return this.#links.get(peerId)?.peerConnection ?? undefined;
  }

  /** The connections of the browser, for statistics. @returns {RTCPeerConnection[]} */
  get connections() {
    return [...this.#links.values()].flatMap(({ peerConnection }) => peerConnection ?? []);
  }

  /** Sends a track to all participants in the place of the one of the same kind. */
  replaceTrack(track) {
    for (const connection of this.connections) {
      const sender = connection.getSenders().find((one) => one.track?.kind === track.kind);
      void sender?.replaceTrack(track);
    }
  }

  #createPeer(token, config) {
    const { hostname, port, protocol } = this.#options.server;
    const secure = protocol === 'https:';
    const address = { host: hostname, port: Number(port) || (secure ? 443 : 80), secure, path: '/peerjs' };
    const peer = new Peer(this.peerId, { ...address, token, config });
    let open = false;
    peer.on('open', () => {
      open = true;
      this.#callOthers();
    });
    peer.on('disconnected', () => {
      const wasOpen = open;
      open = false;
      if (peer === this.#peer) this.#options.onDisconnected(wasOpen);
    });
    peer.on('call', (link) => {
      link.answer(this.#options.stream());
      this.#keep(link);
    });
    peer.on('error', ({ type, message }) => {
      if (type === 'unavailable-id' && peer === this.#peer) this.#options.onReplaced();
      // The others are lost connections, which `disconnected` reports, and participants who are not registered yet.
      else console.info(`PeerJS: ${type}: ${message}`);
    });
    return peer;
  }

  /** Calls the participants to whom there is no connection yet, if it is for this side to call. */
  #callOthers() {
    if (!this.#peer?.open) return;
    for (const { peerId, connected } of this.#others) {
      if (!connected || peerId > this.peerId || this.#links.has(peerId)) continue;
      const link = this.#peer.call(peerId, this.#options.stream());
      this.#keep(link);
      setTimeout(() => !link.open && this.#lose(link), ANSWER_TIMEOUT_MS);
    }
  }

  /** Keeps a connection, in the place of an earlier one to the same peer. */
  #keep(link) {
    const earlier = this.#links.get(link.peer);
    this.#links.set(link.peer, link);
    earlier?.close();
    link.on('stream', () => this.#options.onChange());
    link.on('close', () => this.#lose(link));
  }

  /** Removes a connection that has failed, and connects again if the other side is still in the call. */
  #lose(link) {
    if (this.#links.get(link.peer) !== link) return;
    this.#remove(link.peer);
    this.#options.onChange();
    setTimeout(() => this.#callOthers(), RETRY_MS);
  }

  #remove(peerId) {
    const link = this.#links.get(peerId);
    this.#links.delete(peerId);
    link?.close();
  }
}
