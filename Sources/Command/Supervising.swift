import Logging
import ServiceLifecycle

/// Starts the server of the private cluster again when it is gone, since nobody else would.
struct Supervising: Service {
  let backend: Backend
  let logger: Logger

  private static let intervalSeconds = 1

  func run() async throws {
    await cancelWhenGracefulShutdown {
      var reported = ""
      while !Task.isCancelled {
        do {
          if try await backend.startAgainIfGone() { logger.warning("the private PostgreSQL was gone: started again") }
          reported = ""
        } catch {
          // Once for each reason, not once a second.
          let reason = "\(error)"
          if reason != reported {
            logger.error("the private PostgreSQL is gone and does not start", metadata: ["reason": "\(reason)"])
          }
          reported = reason
        }
        try? await Task.sleep(for: .seconds(Self.intervalSeconds))
      }
    }
  }
}
