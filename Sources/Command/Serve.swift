import ArgumentParser
import Glibc
import HTTPServer
import Logging
import Service
import ServiceLifecycle

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serves the HTTP API until SIGTERM or SIGINT.",
    discussion: """
      Requests that were accepted are answered before it ends. A private cluster is migrated and maintained by itself; \
      another database is waited for until `relayrisk migrate` has run, and needs `relayrisk maintain` every day. A \
      socket that systemd hands over (LISTEN_FDS) is listened on instead of --listen.
      """)

  @Option(help: ArgumentHelp("Where to listen. (default: 127.0.0.1:8080)", valueName: "host:port"))
  var listen: String?

  @Option(
    help: ArgumentHelp(
      "An origin whose pages may call, such as https://portal.example; may be repeated. In the environment they are "
        + "separated by commas. (default: none)", valueName: "origin"))
  var corsOrigin: [String] = []

  @Option(
    help: ArgumentHelp(
      "A reverse proxy, as an address or a range, whose X-Forwarded-For is believed; may be repeated. In the "
        + "environment they are separated by commas. (default: none)", valueName: "range"))
  var trustedProxy: [String] = []

  @OptionGroup var tls: TLSOptions

  @OptionGroup var signOn: SignOnOptions

  @OptionGroup var retention: RetentionOptions

  @OptionGroup var common: CommonOptions

  func validate() throws {
    _ = try address
    _ = try crossOrigin
    _ = try trustedProxies
  }

  private var trustedProxies: TrustedProxies {
    get throws { TrustedProxies(try addressRanges(trustedProxy, "trusted-proxy")) }
  }

  private var address: ListenAddress {
    get throws {
      do {
        return try ListenAddress(parsing: listen ?? environment("RELAYRISK_LISTEN") ?? "127.0.0.1:8080")
      } catch {
        throw ValidationError("\(error). Give a host and a port, such as 127.0.0.1:8080 or [::]:8080.")
      }
    }
  }

  private var crossOrigin: CrossOriginPolicy? {
    get throws {
      let inherited = environment("RELAYRISK_CORS_ORIGIN")?.split(separator: ",") ?? []
      let origins = corsOrigin.isEmpty ? inherited.map { $0.trimmingPrefix(" ") }.map(String.init) : corsOrigin
      do {
        return origins.isEmpty ? nil : try CrossOriginPolicy(origins: origins)
      } catch {
        throw ValidationError("\(error). Give scheme and host, such as https://portal.example.")
      }
    }
  }

  func run() async throws {
    let logger = try common.logger()
    let (crossOrigin, trustedProxies, tls) = (try crossOrigin, try trustedProxies, try tls.identity())
    let maintenance = Maintenance(retentionMonths: try retention.months)
    // Before anything is started that would inherit it, too.
    let inherited = try InheritedSocket.take()
    let address = try inherited?.address ?? address
    raiseDescriptorLimit()
    let signOn = try await signOn.signOn(logger: logger)
    try await Backend.with(common, logger: logger) { backend in
      let service = try RiskService(
        database: backend.database, masterKeys: backend.masterKeys, reader: backend.reader, logger: logger,
        signOn: signOn
      )
      let group = ServiceGroup(
        configuration: ServiceGroupConfiguration(
          services: [
            // Stopped in reverse: first no more requests, then no more news, then the database.
            .init(service: Supervising(backend: backend, logger: logger)),
            .init(
              service: Following(service: service, backend: backend, maintenance: maintenance, logger: logger)),
            .init(
              service: Listening(
                service: service, address: address, inherited: inherited, crossOrigin: crossOrigin,
                trustedProxies: trustedProxies, tls: tls, logger: logger)),
            .init(service: Renewing(tls: tls, logger: logger)),
          ],
          gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet(logger)))
      try await group.run()
    }
    logger.info("stopped")
  }

  /// The lifecycle package reports its own steps at every level; only its errors are news.
  private func quiet(_ logger: Logger) -> Logger {
    var logger = logger
    logger.logLevel = .error
    return logger
  }

  /// Each connection is a descriptor; a soft limit of 1,024 would be reached long before the service's own.
  private func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// Loads what is stored, then follows it.
private struct Following: Service {
  let service: RiskService
  let backend: Backend
  let maintenance: Maintenance
  let logger: Logger

  private static let retrySeconds = 1
  private static let maintainedEverySeconds = 6 * 3600

  func run() async throws {
    await cancelWhenGracefulShutdown {
      guard await loadWhenPossible() else { return }
      logger.info("ready")
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await service.follow() }
        // Another database's tables are not this program's to change.
        if backend.isPrivate { group.addTask { await maintain() } }
        await group.waitForAll()
      }
    }
  }

  /// A database that is away or not migrated yet is waited for: instances may start before it.
  /// - Returns: false when the service is to stop before that.
  private func loadWhenPossible() async -> Bool {
    var reported = ""
    while !Task.isCancelled {
      do {
        if backend.isPrivate { try await backend.migrate() } else { try await backend.checkServable() }
        try await service.load()
        return true
      } catch {
        let reason = "\(error)"
        if reason != reported { logger.error("not ready yet", metadata: ["reason": "\(reason)"]) }
        reported = reason
        try? await Task.sleep(for: .seconds(Self.retrySeconds))
      }
    }
    return false
  }

  private func maintain() async {
    while !Task.isCancelled {
      do {
        try await service.maintain(maintenance) { logger.debug("maintained", metadata: ["what": "\($0)"]) }
      } catch {
        logger.error("the database was not maintained", metadata: ["reason": "\(error)"])
      }
      try? await Task.sleep(for: .seconds(Self.maintainedEverySeconds))
    }
  }
}

/// Answers requests.
private struct Listening: Service {
  let service: RiskService
  let address: ListenAddress
  let inherited: InheritedSocket?
  let crossOrigin: CrossOriginPolicy?
  let trustedProxies: TrustedProxies
  let tls: TLSIdentity?
  let logger: Logger

  func run() async throws {
    let server = Server(
      router: try service.router(), listen: address, logger: logger, problem: RiskService.problem,
      observe: service.observe, crossOrigin: crossOrigin, trustedProxies: trustedProxies, tls: tls)
    service.observe(connectionsOf: server)
    do {
      let bound = try server.start(on: inherited)
      printError("relayrisk listens on \(tls == nil ? "http" : "https")://\(bound)")
      try? await gracefulShutdown()
      logger.info("stopping: accepted requests are answered first")
      await server.stop()
    } catch {
      await server.stop()
      throw CommandFailure("\(error); choose another address or port with --listen")
    }
  }
}
