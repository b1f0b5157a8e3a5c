// Asking the server. Its errors are one line of text, which is shown as it is.

const TOKEN = "s2s-map-token";

/** What the server says, or that it cannot be reached. */
export class Failed extends Error {
  /**
   * @param {string} reason
   * @param {number} status 0: nobody answers
   */
  constructor(reason, status) {
    super(reason);
    this.status = status;
  }
}

/**
 * Keep the token of the printed address for this server's pages.
 * @param {string} token
 */
export function keepToken(token) {
  localStorage.setItem(TOKEN, token);
}

/**
 * Read something.
 * @param {string} path
 * @param {Record<string, string | number | string[] | undefined>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function read(path, query = {}, signal) {
  return answer(fetch(address(path, query), { signal }));
}

/**
 * Return an address with its query.
 * @param {string} path
 * @param {Record<string, string | number | string[] | undefined>} query
 */
export function address(path, query) {
  const found = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((one) => found.append(key, one));
    else if (value !== undefined) found.set(key, String(value));
  }
  const text = found.toString();
  return text ? `${path}?${text}` : path;
}

/**
 * Ask for something that takes the token.
 * @param {string} path
 * @param {Record<string, any>} content
 * @returns {Promise<any>}
 */
export async function send(path, content) {
  const headers = { "content-type": "application/json", ...withToken() };
  return answer(
    fetch(path, { method: "POST", headers, body: JSON.stringify(content) }),
  );
}

/**
 * Send a file.
 * @param {string} path
 * @param {Blob} file
 * @param {string} name
 * @returns {Promise<any>}
 */
export async function sendFile(path, file, name) {
  const headers = { "x-name": encodeURIComponent(name), ...withToken() };
  return answer(fetch(path, { method: "POST", headers, body: file }));
}

/** @returns {Record<string, string>} */
function withToken() {
  return { "x-s2s-map-token": localStorage.getItem(TOKEN) ?? "" };
}

/**
 * @param {Promise<Response>} asked
 * @returns {Promise<any>}
 */
async function answer(asked) {
  let response;
  try {
    response = await asked;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError")
      throw error;
    throw new Failed("the server does not answer; start s2s-map view again", 0);
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new Failed(
      content.error ?? `error ${response.status}`,
      response.status,
    );
  return content;
}
