// Taking a recording with the microphone, made into a WAV file here, which every model can read.
import { say } from "./dom.js";

const LONGEST_S = 60;

/**
 * Let a button begin and end a recording.
 * @param {HTMLButtonElement} button
 * @param {(wav: Blob) => void} taken
 */
export function record(button, taken) {
  /** @type {MediaRecorder | null} */
  let running = null;
  const idle = button.textContent;
  button.addEventListener("click", async () => {
    if (running) return running.stop();
    if (!navigator.mediaDevices?.getUserMedia)
      return say(
        "This browser gives no microphone to this page; choose a file.",
      );
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      /** @type {Blob[]} */
      const parts = [];
      running = new MediaRecorder(stream);
      running.addEventListener("dataavailable", (event) =>
        parts.push(event.data),
      );
      running.addEventListener("stop", async () => {
        running = null;
        button.setAttribute("aria-pressed", "false");
        button.textContent = idle;
        stream.getTracks().forEach((track) => track.stop());
        try {
          taken(await asWav(new Blob(parts)));
        } catch {
          say("Nothing could be heard; try again, or choose a file.");
        }
      });
      running.start();
      button.setAttribute("aria-pressed", "true");
      button.textContent = "Stop";
      setTimeout(() => running?.stop(), LONGEST_S * 1000);
    } catch {
      say("The microphone was not given; allow it, or choose a file.");
    }
    return undefined;
  });
}

/** @param {Blob} recorded */
async function asWav(recorded) {
  const context = new AudioContext();
  const heard = await context.decodeAudioData(await recorded.arrayBuffer());
  await context.close();
  return wav(heard.getChannelData(0), heard.sampleRate);
}

/**
 * @param {Float32Array} samples
 * @param {number} rate
 */
export function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  /**
   * @param {number} at
   * @param {string} text
   */
  const letters = (at, text) =>
    [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  letters(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  letters(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  letters(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) =>
    view.setInt16(
      44 + 2 * i,
      Math.round(32767 * Math.max(-1, Math.min(1, sample))),
      true,
    ),
  );
  return new Blob([view], { type: "audio/wav" });
}
