import Synchronization

/// Scores that were computed before, to be sent again while nothing they depend on has changed.
final class ScoreMemory: Sendable {
  struct DocumentKey: Hashable {
    let provider: Identifier
    let isFull: Bool
  }

  private struct State {
    var standings: [Identifier: Standing] = [:]
    var documents: [DocumentKey: ScoreDocument] = [:]
  }
  private let state = Mutex(State())

  func standing(of provider: Identifier) -> Standing? { state.withLock { $0.standings[provider] } }

  func remember(_ standing: Standing, of provider: Identifier) { state.withLock { $0.standings[provider] = standing } }

  func document(_ key: DocumentKey) -> ScoreDocument? { state.withLock { $0.documents[key] } }

  func remember(_ document: ScoreDocument, as key: DocumentKey) { state.withLock { $0.documents[key] = document } }
}
