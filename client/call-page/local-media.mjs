/**
 * What the user sends: one stream with an audio and a video track. The video track is the screen, the camera or a black
 * picture, so every media connection has one, and switching between them needs no new negotiation.
 */
export class LocalMedia {
  /** @type {MediaStream | undefined} */
  stream;
  #microphone;
  #camera;
  #screen;
  #onTrack;

  /** @param {(track: MediaStreamTrack) => void} onTrack is called when another track must be sent. */
  constructor(onTrack) {
    this.#onTrack = onTrack;
  }

  /** Asks for the microphone, and for the camera if `video`. @throws when the user refuses or has none. */
  async open(video) {
    this.close();
    const captured = await navigator.mediaDevices.getUserMedia({ audio: true, video });
    [this.#microphone] = captured.getAudioTracks();
    [this.#camera] = captured.getVideoTracks();
    this.stream = new MediaStream([this.#microphone, this.#camera ?? blackTrack()]);
  }

  setMicrophone(on) {
    this.#microphone.enabled = on;
  }

  async setCamera(on) {
    this.#camera?.stop();
    this.#camera = undefined;
    if (on) [this.#camera] = (await navigator.mediaDevices.getUserMedia({ video: true })).getVideoTracks();
    this.#show();
  }

  /** @param onEnd is called when the user ends it with the browser's own control. */
  async shareScreen(onEnd) {
    [this.#screen] = (await navigator.mediaDevices.getDisplayMedia({ video: true })).getVideoTracks();
    this.#screen.onended = onEnd;
    this.#show();
  }

  stopScreen() {
    this.#screen?.stop();
    this.#screen = undefined;
    this.#show();
  }

  close() {
    for (const track of [this.#microphone, this.#camera, this.#screen]) track?.stop();
    this.stream = this.#microphone = this.#camera = this.#screen = undefined;
  }

  #show() {
    const track = this.#screen ?? this.#camera ?? blackTrack();
    for (const old of this.stream.getVideoTracks()) this.stream.removeTrack(old);
    this.stream.addTrack(track);
    this.#onTrack(track);
  }
}

function blackTrack() {
  const canvas = document.createElement('canvas');
  canvas.getContext('2d').fillRect(0, 0, canvas.width, canvas.height);
  return canvas.captureStream(1).getVideoTracks()[0];
}
