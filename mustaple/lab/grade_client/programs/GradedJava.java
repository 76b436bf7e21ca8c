// JSSE as a client: java GradedJava MODE HOST PORT CA, where MODE is default, soft-fail or hard-fail.
//
// The first checks no revocation, as JSSE comes. The others add a PKIXRevocationChecker, which takes staples, then asks
// the responders that certificates name, then their CRLs; of every certificate below the root.

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.InputStream;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertPathBuilder;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.Set;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public final class GradedJava {
    private static final int TIMEOUT_MS = 20_000;

    public static void main(String[] arguments) throws Exception {
        String host = arguments[1];
        int port = Integer.parseInt(arguments[2]);
        // CRLs are looked for only where this says so.
        System.setProperty("com.sun.security.enableCRLDP", "true");
        try (Socket plain = new Socket(host, port)) {
            plain.setSoTimeout(TIMEOUT_MS);
            SSLContext context = context(arguments[0], Path.of(arguments[3]));
            try (SSLSocket tls = (SSLSocket) context.getSocketFactory().createSocket(plain, host, port, true)) {
                SSLParameters parameters = tls.getSSLParameters();
                parameters.setEndpointIdentificationAlgorithm("HTTPS");
                tls.setSSLParameters(parameters);
                tls.startHandshake();
                tls.getOutputStream().write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(US_ASCII));
                tls.getInputStream().read();
            }
        } catch (Exception error) {
            StringBuilder said = new StringBuilder("refused:");
            for (Throwable each = error; each != null; each = each.getCause()) {
                said.append(' ').append(each.toString().replaceAll("\\s+", " ")).append(';');
            }
            System.err.println(said);
            System.exit(1);
        }
    }

    private static SSLContext context(String mode, Path ca) throws Exception {
        Set<TrustAnchor> roots = new HashSet<>();
        try (InputStream pem = Files.newInputStream(ca)) {
            for (Certificate root : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                roots.add(new TrustAnchor((X509Certificate) root, null));
            }
        }
        PKIXBuilderParameters path = new PKIXBuilderParameters(roots, new X509CertSelector());
        path.setRevocationEnabled(!mode.equals("default"));
        if (!mode.equals("default")) {
            PKIXRevocationChecker checker =
                    (PKIXRevocationChecker) CertPathBuilder.getInstance("PKIX").getRevocationChecker();
            if (mode.equals("soft-fail")) {
                checker.setOptions(EnumSet.of(PKIXRevocationChecker.Option.SOFT_FAIL));
            }
            path.addCertPathChecker(checker);
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(new CertPathTrustManagerParameters(path));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        return context;
    }
}
