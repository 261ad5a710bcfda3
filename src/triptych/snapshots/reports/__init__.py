"""Reports: what a brand's imagery says, on a page for people."""
