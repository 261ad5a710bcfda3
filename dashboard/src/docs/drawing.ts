/**
 * The API's description, drawn by Swagger UI.
 *
 * Of the renderers there are it is the one that needs nothing of the Content-Security-Policy: no
 * inline style, no evaluated text, no other host, and no HTML of its own where trusted types are
 * required, once its Markdown is replaced.
 */

import SwaggerUI, { type Parts } from 'swagger-ui-dist/swagger-ui-es-bundle.js';
import 'swagger-ui-dist/swagger-ui.css';
import './drawing.css';
import { headers } from '../api/client';
import { session } from '../session.svelte';

/** Descriptions are paragraphs with `code` in them. As elements they cannot be anything else. */
function parts({ React: { createElement } }: Parts) {
  const text = (paragraph: string) =>
    paragraph
      .split(/`+([^`]+)`+/)
      .map((piece, place) => (place % 2 ? createElement('code', { key: place }, piece) : piece));
  // Swagger UI puts an <i> around words of its own.
  const Markdown = ({ source }: { source?: string }) =>
    source
      ? createElement(
          'div',
          { className: 'markdown' },
          source
            .replace(/<\/?i>/g, '')
            .split(/\n{2,}/)
            .map((each, place) => createElement('p', { key: place }, text(each))),
        )
      : null;
  // A link to its address would be one control within another: a press opens the operation.
  const DeepLink = ({ text: said }: { text: string }) => createElement('span', {}, said);
  const Nothing = () => null;
  return {
    components: {
      Markdown,
      DeepLink,
      // The page has a title already, and the key that one signed in with.
      InfoContainer: Nothing,
      authorizeBtn: Nothing,
      authorizeOperationBtn: Nothing,
    },
  };
}

let drawn: { key: string | null; element: HTMLElement } | undefined;

/**
 * Return the element with the description in it.
 *
 * None can be taken down, so it is kept; but what one key was answered is not shown to the next.
 */
export function drawing(description: object): HTMLElement {
  if (drawn && drawn.key === session.key) return drawn.element;
  const element = document.createElement('div');
  drawn = { key: session.key, element };
  SwaggerUI({
    domNode: element,
    spec: description,
    plugins: [parts],
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    // The key stands in what is sent, and not in what is shown to be copied.
    showMutatedRequest: false,
    requestInterceptor(request) {
      const here = new URL(request.url, location.href).origin === location.origin;
      if (here) Object.assign(request.headers, headers());
      return request;
    },
    validatorUrl: null,
  });
  return element;
}
