import HTTPServer
import Logging
import ServiceLifecycle
import UnixSignals

/// Reads the certificate, and those of authorities, anew on SIGHUP, as those who renew certificates send it. Without
/// one the signal does nothing, which is not what it does by itself.
struct Renewing: Service {
  let tls: TLSIdentity?
  let logger: Logger

  func run() async throws {
    for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
      guard let tls else { continue }
      do {
        try tls.reload()
        logger.info("the certificate was read again")
      } catch {
        logger.error("the certificate before is served on", metadata: ["reason": "\(error)"])
      }
    }
  }
}
