import HTTPServer
import Synchronization

/// Scores that were computed before, to be sent again while nothing they depend on has changed.
final class ScoreMemory: Sendable {
  struct StandingKey: Hashable {
    let provider: Identifier
    let methodology: String
  }

  struct DocumentKey: Hashable {
    let standing: StandingKey
    let isFull: Bool
    let language: Language
  }

  private struct State {
    var standings: [StandingKey: Standing] = [:]
    var documents: [DocumentKey: ScoreDocument] = [:]
  }
  private let state = Mutex(State())

  func standing(_ key: StandingKey) -> Standing? { state.withLock { $0.standings[key] } }

  func remember(_ standing: Standing, as key: StandingKey) { state.withLock { $0.standings[key] = standing } }

  func document(_ key: DocumentKey) -> ScoreDocument? { state.withLock { $0.documents[key] } }

  func remember(_ document: ScoreDocument, as key: DocumentKey) { state.withLock { $0.documents[key] = document } }

  /// Forgets what was computed under every other methodology.
  func forget(but methodologies: Set<String>) {
    state.withLock { state in
      state.standings = state.standings.filter { methodologies.contains($0.key.methodology) }
      state.documents = state.documents.filter { methodologies.contains($0.key.standing.methodology) }
    }
  }
}
