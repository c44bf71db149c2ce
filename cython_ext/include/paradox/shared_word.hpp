// Words that one thread writes while others read them.
#pragma once

namespace paradox {

/// What was written before the word was stored is seen by who loads it.
template <class T>
T load_word(const T& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
template <class T>
void store_word(T& word, T value) {
  __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

/// The word alone, whole: as fast as a plain one.
template <class T>
T peek_word(const T& word) {
  T value;
  __atomic_load(&word, &value, __ATOMIC_RELAXED);
  return value;
}
template <class T>
void poke_word(T& word, T value) {
  __atomic_store(&word, &value, __ATOMIC_RELAXED);
}

}  // namespace paradox
