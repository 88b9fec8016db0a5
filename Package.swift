// swift-tools-version: 6.2
// The targets, from the bottom up; ARCHITECTURE.md says what each may import and why.
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "relayrisk",
  products: [
    .executable(name: "relayrisk", targets: ["Command"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
  ],
  targets: [
    .systemLibrary(
      name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
    .systemLibrary(name: "CGnuTLS", pkgConfig: "gnutls", providers: [.apt(["libgnutls28-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CPublicSuffix", pkgConfig: "libpsl", providers: [.apt(["libpsl-dev"])]),
    .systemLibrary(name: "CIDN2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(name: "CShippedFiles"),

    .target(name: "EventLoop", swiftSettings: strict),
    .target(name: "JSON", swiftSettings: strict),
    .target(name: "RiskModel", dependencies: ["JSON"], swiftSettings: strict),
    .target(
      name: "HTTPServer",
      dependencies: [
        "EventLoop", "JSON", "CMicroHTTPD", "CGnuTLS", "CZlib", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(
      name: "Postgres",
      dependencies: ["EventLoop", "CLibPQ", .product(name: "Logging", package: "swift-log")],
      swiftSettings: strict),
    .target(
      name: "Service",
      dependencies: [
        "EventLoop", "HTTPServer", "Postgres", "RiskModel", "JSON", "SingleSignOn", "CShippedFiles", "CPublicSuffix",
        "CIDN2", .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(name: "HTTPClient", dependencies: ["CCurl"], swiftSettings: strict),
    .target(
      name: "SingleSignOn",
      dependencies: [
        "EventLoop", "HTTPClient", "JSON", .product(name: "JWTKit", package: "jwt-kit"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "Command",
      dependencies: [
        "Service", "HTTPServer", "HTTPClient", "JSON", "Postgres", "EventLoop", "SingleSignOn",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),

    .target(name: "AllocationCount", path: "Benchmarks/AllocationCount"),
    .executableTarget(
      name: "EngineBenchmark", dependencies: ["RiskModel", "JSON", "AllocationCount"], path: "Benchmarks/Engine",
      swiftSettings: strict),
    .executableTarget(
      name: "MethodologyPage", dependencies: ["RiskModel", "JSON"], path: "docs/MethodologyPage",
      swiftSettings: strict),

    .testTarget(name: "EventLoopTests", dependencies: ["EventLoop"], swiftSettings: strict),
    .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: strict),
    .testTarget(
      name: "RiskModelTests", dependencies: ["RiskModel", "JSON"], exclude: ["Fixtures"], swiftSettings: strict),
    .testTarget(
      name: "HTTPServerTests",
      dependencies: ["HTTPServer", "EventLoop", "JSON", .product(name: "Logging", package: "swift-log")],
      swiftSettings: strict),
    .testTarget(
      name: "PostgresTests", dependencies: ["Postgres", "EventLoop", "TestHarness"], swiftSettings: strict),
    .target(name: "TestHarness", path: "Tests/TestHarness", swiftSettings: strict),
    .testTarget(
      name: "ServiceTests",
      dependencies: [
        "Service", "SingleSignOn", "HTTPServer", "Postgres", "EventLoop", "JSON", "RiskModel", "TestHarness", "Yams",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "CryptoExtras", package: "swift-crypto"),
      ], exclude: ["Fixtures"], swiftSettings: strict),
    .testTarget(
      name: "EndToEndTests", dependencies: ["Command", "MethodologyPage", "TestHarness"], swiftSettings: strict),
    .testTarget(name: "StyleTests", swiftSettings: strict),
  ]
)
