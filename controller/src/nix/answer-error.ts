// What nix printed as JSON, taken as what it is: text of a program of any version.

/** The only error of the readers of nix's JSON: which command's answer it was, and what is wrong with it. */
export class NixAnswerError extends Error {
  override name = 'NixAnswerError';
  constructor(command: string, text: string) {
    super(`${command}: ${text}`);
  }
}

/** The value of a JSON text. @throws NixAnswerError */
export function parseAnswer(command: string, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new NixAnswerError(command, json.trim() === '' ? 'it printed nothing' : 'what it printed is not JSON');
  }
}
