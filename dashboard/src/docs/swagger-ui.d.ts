/** As much of Swagger UI as is used here. */
declare module 'swagger-ui-dist/swagger-ui-es-bundle.js' {
  type Element = { type: unknown };
  type Drawn = Element | string | null;

  export interface Parts {
    React: {
      createElement(
        type: string,
        props: { key?: number; className?: string },
        children: Drawn | Drawn[],
      ): Element;
    };
  }

  interface Asked {
    url: string;
    headers: Record<string, string>;
  }

  export default function SwaggerUI(options: {
    domNode: HTMLElement;
    spec: object;
    plugins: ((parts: Parts) => { components: Record<string, unknown> })[];
    deepLinking: boolean;
    defaultModelsExpandDepth: number;
    displayRequestDuration: boolean;
    showMutatedRequest: boolean;
    requestInterceptor(request: Asked): Asked;
    validatorUrl: null;
  }): unknown;
}
