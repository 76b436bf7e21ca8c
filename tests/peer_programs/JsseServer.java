// JSSE as a server that staples: it asks the responders that its certificates name, within the handshake.
//
//   java -Djdk.tls.server.enableStatusRequestExtension=true -cp CLASSES JsseServer KEYSTORE.p12 PASSWORD
//
// Each line read is a protocol, "TLSv1.2" or "TLSv1.3", and two lines are written: the port that waits for one client,
// and once it has come and gone "SERVED PROTOCOL" or "FAILED REASON".

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

public final class JsseServer {
    private static final int TIMEOUT_MS = 30_000;
    private static final String PAGE = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nJSSE";

    public static void main(String[] arguments) throws Exception {
        char[] password = arguments[1].toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream file = Files.newInputStream(Path.of(arguments[0]))) {
            store.load(file, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, password);
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String protocol; (protocol = orders.readLine()) != null; ) {
            // A context for one client: what it fetched for another is forgotten.
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keys.getKeyManagers(), null, null);
            System.out.println(serveOne(context, protocol));
        }
    }

    private static String serveOne(SSLContext context, String protocol) {
        InetAddress loopback = InetAddress.getLoopbackAddress();
        try (SSLServerSocket listener =
                (SSLServerSocket) context.getServerSocketFactory().createServerSocket(0, 1, loopback)) {
            listener.setEnabledProtocols(new String[] {protocol});
            listener.setSoTimeout(TIMEOUT_MS);
            System.out.println(listener.getLocalPort());
            try (SSLSocket tls = (SSLSocket) listener.accept()) {
                tls.setSoTimeout(TIMEOUT_MS);
                tls.startHandshake();
                BufferedReader request = new BufferedReader(new InputStreamReader(tls.getInputStream(), US_ASCII));
                for (String line; (line = request.readLine()) != null; ) {
                    if (line.isEmpty()) {
                        tls.getOutputStream().write(PAGE.getBytes(US_ASCII));
                        break;
                    }
                }
                return "SERVED " + tls.getSession().getProtocol();
            }
        } catch (Exception error) {
            return ("FAILED " + error).replaceAll("\\s+", " ");
        }
    }
}
