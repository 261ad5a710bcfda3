"""Operations that were accepted and the work that some of them need."""
