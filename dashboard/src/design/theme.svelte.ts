/** Light or dark: as the system says, or as was chosen here. */

export type Theme = 'system' | 'light' | 'dark';
const KEPT = 'triptych.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function kept(): Theme {
  const value = localStorage.getItem(KEPT);
  return value === 'light' || value === 'dark' ? value : 'system';
}

class Look {
  theme = $state<Theme>(kept());
  /** What it comes to. Canvases draw anew when it changes. */
  dark = $state(false);
}

export const look = new Look();

export function applyTheme(): void {
  look.dark = look.theme === 'dark' || (look.theme === 'system' && dark.matches);
  document.documentElement.dataset['theme'] = look.dark ? 'dark' : 'light';
}

export function chooseTheme(theme: Theme): void {
  look.theme = theme;
  if (theme === 'system') localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, theme);
  applyTheme();
}

dark.addEventListener('change', applyTheme);
