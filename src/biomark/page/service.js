// The service that the page was loaded from. A page without one (`api` is empty) asks nobody.

import { documentOf } from "./documents.js";

/** The addresses of the service, below `api`. */
export class Service {
  token = "";

  constructor(api) {
    this.api = api.replace(/\/$/, "");
  }

  get present() {
    return this.api !== "";
  }

  /** The documents of a request, annotated, and what was rejected. Throws an Error that says what to do. */
  async annotate(request) {
    const answer = await this.#ask("annotate", request);
    return { documents: answer.documents.map(documentOf), rejects: answer.rejects ?? [], model: answer.model };
  }

  /** The documents of a request with the mentions that they hold, and what was rejected. Throws an Error as `annotate` does. */
  async convert(request) {
    const answer = await this.#ask("convert", request);
    return { documents: answer.documents.map(documentOf), rejects: answer.rejects };
  }

  /** The models, as [{ name, types, default_types, identifiers }]; types is null where a model takes any. */
  async models() {
    const answer = await this.#ask("models");
    return answer.models;
  }

  async #ask(path, body) {
    const headers = { Accept: "application/json", ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}) };
    const options = body ? { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) } : { headers };
    let response;
    try {
      response = await fetch(`${this.api}/${path}`, options);
    } catch (error) {
      throw new Error("The service does not answer. Is it still running?", { cause: error });
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const retry = response.headers.get("Retry-After");
    const problem = new Error([answer.detail ?? answer.title ?? `The service answers with status ${response.status}.`, retry ? `Try again in ${retry} s.` : ""].join(" ").trim());
    problem.status = response.status;
    throw problem;
  }
}
