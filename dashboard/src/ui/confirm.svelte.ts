/** Ask before what cannot be undone. */

export interface Question {
  title: string;
  text: string;
  action: string;
  /** Has to be typed in first: for what destroys. */
  typed?: string;
}

class Asked {
  question = $state.raw<Question | null>(null);
  #answer: (agreed: boolean) => void = () => undefined;

  ask(question: Question): Promise<boolean> {
    this.answer(false);
    this.question = question;
    return new Promise((resolve) => (this.#answer = resolve));
  }

  answer(agreed: boolean): void {
    this.question = null;
    this.#answer(agreed);
    this.#answer = () => undefined;
  }
}

export const asked = new Asked();
export const confirm = (question: Question): Promise<boolean> => asked.ask(question);
