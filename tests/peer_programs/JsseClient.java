// JSSE as a client that believes in staples alone: revocation checking is hard, and nothing can be fetched.
//
//   java -cp CLASSES JsseClient ROOTS.pem
//
// Each line read is "PORT PROTOCOL"; each line written is its outcome: "ACCEPTED PROTOCOL LENGTH…" with the lengths of
// the responses that were stapled, in their order and 0 for an empty one, or "REFUSED REASON".

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.URI;
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
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public final class JsseClient {
    // Nobody listens on port 1: an answer from there would take somebody with root's rights on this very machine.
    private static final URI DEAD_RESPONDER = URI.create("http://127.0.0.1:1/");
    private static final int TIMEOUT_MS = 20_000;

    public static void main(String[] arguments) throws Exception {
        Set<TrustAnchor> roots = new HashSet<>();
        try (InputStream pem = Files.newInputStream(Path.of(arguments[0]))) {
            for (Certificate root : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                roots.add(new TrustAnchor((X509Certificate) root, null));
            }
        }
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String order; (order = orders.readLine()) != null; ) {
            String[] words = order.split(" ");
            System.out.println(visit(roots, Integer.parseInt(words[0]), words[1]));
        }
    }

    private static String visit(Set<TrustAnchor> roots, int port, String protocol) {
        try (Socket plain = new Socket("127.0.0.1", port)) {
            plain.setSoTimeout(TIMEOUT_MS);
            SSLContext context = context(roots);
            try (SSLSocket tls = (SSLSocket) context.getSocketFactory().createSocket(plain, "localhost", port, true)) {
                SSLParameters parameters = tls.getSSLParameters();
                parameters.setEndpointIdentificationAlgorithm("HTTPS");
                parameters.setProtocols(new String[] {protocol});
                tls.setSSLParameters(parameters);
                tls.startHandshake();
                tls.getOutputStream().write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(US_ASCII));
                String status = new BufferedReader(new InputStreamReader(tls.getInputStream(), US_ASCII)).readLine();
                if (!"HTTP/1.1 200 OK".equals(status)) {
                    throw new IOException("the page is " + status);
                }
                StringBuilder said = new StringBuilder("ACCEPTED " + tls.getSession().getProtocol());
                for (byte[] staple : ((ExtendedSSLSession) tls.getSession()).getStatusResponses()) {
                    said.append(' ').append(staple.length);
                }
                return said.toString();
            }
        } catch (Exception error) {
            StringBuilder said = new StringBuilder("REFUSED");
            for (Throwable each = error; each != null; each = each.getCause()) {
                said.append(' ').append(each.toString().replaceAll("\\s+", " ")).append(';');
            }
            return said.toString();
        }
    }

    // A context for one connection: it has no session to resume, and the checker remembers no staple of another.
    private static SSLContext context(Set<TrustAnchor> roots) throws Exception {
        PKIXRevocationChecker checker = (PKIXRevocationChecker) CertPathBuilder.getInstance("PKIX").getRevocationChecker();
        checker.setOptions(EnumSet.of(PKIXRevocationChecker.Option.NO_FALLBACK));
        checker.setOcspResponder(DEAD_RESPONDER);
        PKIXBuilderParameters path = new PKIXBuilderParameters(roots, new X509CertSelector());
        path.setRevocationEnabled(true);
        path.addCertPathChecker(checker);
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(new CertPathTrustManagerParameters(path));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        return context;
    }
}
