/** What AI steps found, as their documentation has it: the API passes it on as it is. */

export interface DuplicateGroup {
  kind: 'exact' | 'near';
  best: string;
  members: string[];
  size: number;
  contents: number;
}

export interface Duplicates {
  groups: DuplicateGroup[];
  group_count: number;
  exact_groups: number;
  near_groups: number;
  redundant: number;
  exact_redundant: number;
  /** Contents under many paths; results of older runs have none. */
  placeholders?: { key: string; paths: number; assets: number; urls: string[] }[];
  truncated: boolean;
}

export interface Cluster {
  id?: string;
  label?: string | null;
  /** What the label comes from; absent in insights of before, which did not say. */
  label_from?: 'names' | 'metadata' | 'text' | 'tag' | null;
  size: number;
  representatives: string[];
  members: string[];
}

export interface Clusters {
  clusters: Cluster[];
  cluster_count: number;
  clustered: number;
  noise: number;
  truncated: boolean;
}

export interface Tags {
  tags: { tag: string; count: number; score: number; examples: string[] }[];
  tagged: number;
  untagged: number;
  text_model: string | null;
}

type Share = { count: number; share: number };

export interface Look {
  palette: { colour: string; word: string; share: number }[];
  kinds: Record<string, Share>;
  shapes: Record<string, Share>;
  ratios: Record<string, number>;
  coherence: {
    score: number;
    cosine: number;
    baseline: number;
    brands: number;
    /** Absent in insights of before, as is the sentence. */
    percentile?: number | null;
    sentence?: string;
  } | null;
  outliers: { key: string; score: number; why: string[] }[];
  outlier_count: number;
  /** Pictures that are edited in another way; absent in insights of before. */
  treatments?: { key: string; score: number; why: string[] }[];
  /** Null if the files of too few pictures were read. */
  treatment_count?: number | null;
  change: {
    added?: number;
    removed?: number;
    palette?: number | null;
    kinds?: Record<string, number>;
    coherence?: number | null;
  } | null;
}

/** The people in pictures, by their faces; only `on` where the installation looks for none. */
export interface PeopleInPictures {
  on: boolean;
  looked_at?: number;
  none?: number;
  one?: number;
  group?: number;
  close_up?: number;
  shares?: Record<'none' | 'one' | 'group' | 'close_up', number>;
  examples?: Record<'one' | 'group' | 'close_up', string[]>;
  unreadable?: number;
  not_looked_at_yet?: number;
  problem?: string;
}

/** The text in pictures; only `on` where the installation reads none. */
export interface TextInPictures {
  on: boolean;
  read?: number;
  with_text?: number;
  unreadable?: number;
  not_read_yet?: number;
  words?: { word: string; pictures: number }[];
  rare_words_dropped?: number;
  problem?: string;
}

/** Technical faults; only `on` where the installation does not measure them. */
export interface Quality {
  on: boolean;
  measured?: number;
  unreadable?: number;
  not_read_yet?: number;
  with_faults?: number;
  small_side?: number;
  faults?: Record<string, { count: number; share: number; keys: string[] }>;
  problem?: string;
}

type Named = { name: string; pictures: number }[];

/** What files say of rights and origin; only `on` where the installation does not read them. */
export interface Origin {
  on: boolean;
  read?: number;
  unreadable?: number;
  not_read_yet?: number;
  silent?: number;
  copyright?: number;
  creator?: number;
  credit?: number;
  licence?: number;
  content_credentials?: number;
  broken?: number;
  place?: { count: number; keys: string[] };
  generated?: { count: number; keys: string[] };
  source_types?: Named;
  creators?: Named;
  copyrights?: Named;
  problem?: string;
}

/** Alt texts in the source's columns; only `on` where it has none. */
export interface AltTexts {
  on: boolean;
  with_text?: number;
  missing?: { count: number; keys: string[] };
  same?: { count: number; keys: string[] };
  file_name?: { count: number; keys: string[] };
  shared?: { text: string; pictures: number }[];
}
