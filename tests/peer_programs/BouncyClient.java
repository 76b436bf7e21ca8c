// Bouncy Castle's low-level TLS client, which offers status_request and status_request_v2 as it is told, and believes
// in staples alone: what was stapled goes to the same library's path validation, and nothing can be fetched.
//
//   java -cp CLASSES:bctls.jar:bcutil.jar:bcprov.jar BouncyClient ROOT.pem
//
// Each line read is "PORT PROTOCOL WORD…". The words "5", and "17:" with status types as in "17:ocsp_multi,ocsp", say
// what is offered; "leaf-only" says that the other certificates' staples may be missing. Each line written is the
// outcome: "ACCEPTED CARRIER LENGTH…" with the lengths of the responses, in their order and 0 for an empty one, or
// "REFUSED REASON". CARRIER is the status type of TLS 1.2, "entries" in TLS 1.3, or "nothing".

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.security.Security;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.Vector;
import org.bouncycastle.asn1.ocsp.OCSPResponse;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.tls.AlertDescription;
import org.bouncycastle.tls.Certificate;
import org.bouncycastle.tls.CertificateStatus;
import org.bouncycastle.tls.CertificateStatusRequest;
import org.bouncycastle.tls.CertificateStatusRequestItemV2;
import org.bouncycastle.tls.CertificateStatusType;
import org.bouncycastle.tls.DefaultTlsClient;
import org.bouncycastle.tls.OCSPStatusRequest;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.ServerOnlyTlsAuthentication;
import org.bouncycastle.tls.TlsAuthentication;
import org.bouncycastle.tls.TlsClientProtocol;
import org.bouncycastle.tls.TlsExtensionsUtils;
import org.bouncycastle.tls.TlsFatalAlert;
import org.bouncycastle.tls.TlsServerCertificate;
import org.bouncycastle.tls.TlsUtils;
import org.bouncycastle.tls.crypto.impl.bc.BcTlsCrypto;

public final class BouncyClient extends DefaultTlsClient {
    // Nobody listens on port 1: an answer from there would take somebody with root's rights on this very machine.
    private static final URI DEAD_RESPONDER = URI.create("http://127.0.0.1:1/");
    private static final int TIMEOUT_MS = 20_000;
    private static final OCSPStatusRequest ANY = new OCSPStatusRequest(null, null);

    private final X509Certificate root;
    private final ProtocolVersion version;
    private boolean leafOnly;
    private boolean offersOld;
    private Vector<CertificateStatusRequestItemV2> offersNew;
    private String carrier = "nothing";
    private final List<byte[]> staples = new ArrayList<>();

    private BouncyClient(X509Certificate root, String[] words) {
        super(new BcTlsCrypto(new SecureRandom()));
        this.root = root;
        this.version = words[1].equals("TLSv1.3") ? ProtocolVersion.TLSv13 : ProtocolVersion.TLSv12;
        for (int word = 2; word < words.length; word++) {
            if (words[word].startsWith("17:")) {
                offersNew = items(words[word].substring("17:".length()).split(","));
            }
            offersOld |= words[word].equals("5");
            leafOnly |= words[word].equals("leaf-only");
        }
    }

    private static Vector<CertificateStatusRequestItemV2> items(String[] types) {
        Vector<CertificateStatusRequestItemV2> items = new Vector<>();
        for (String type : types) {
            short number = type.equals("ocsp_multi") ? CertificateStatusType.ocsp_multi : CertificateStatusType.ocsp;
            items.add(new CertificateStatusRequestItemV2(number, ANY));
        }
        return items;
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        X509Certificate root;
        try (InputStream pem = Files.newInputStream(Path.of(arguments[0]))) {
            root = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(pem);
        }
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String order; (order = orders.readLine()) != null; ) {
            System.out.println(new BouncyClient(root, order.split(" ")).visit(Integer.parseInt(order.split(" ")[0])));
        }
    }

    private String visit(int port) {
        try (Socket plain = new Socket("127.0.0.1", port)) {
            plain.setSoTimeout(TIMEOUT_MS);
            TlsClientProtocol tls = new TlsClientProtocol(plain.getInputStream(), plain.getOutputStream());
            tls.connect(this);
            tls.getOutputStream().write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(US_ASCII));
            String status = new BufferedReader(new InputStreamReader(tls.getInputStream(), US_ASCII)).readLine();
            if (!"HTTP/1.1 200 OK".equals(status)) {
                throw new IOException("the page is " + status);
            }
            tls.close();
            StringBuilder said = new StringBuilder("ACCEPTED " + carrier);
            for (byte[] staple : staples) {
                said.append(' ').append(staple.length);
            }
            return said.toString();
        } catch (Exception error) {
            StringBuilder said = new StringBuilder("REFUSED");
            for (Throwable each = error; each != null; each = each.getCause()) {
                said.append(' ').append(each.toString().replaceAll("\\s+", " ")).append(';');
            }
            return said.toString();
        }
    }

    @Override
    protected ProtocolVersion[] getSupportedVersions() {
        return version.only();
    }

    @Override
    protected CertificateStatusRequest getCertificateStatusRequest() {
        return offersOld ? new CertificateStatusRequest(CertificateStatusType.ocsp, ANY) : null;
    }

    @Override
    protected Vector<CertificateStatusRequestItemV2> getMultiCertStatusRequest() {
        return offersNew;
    }

    @Override
    public TlsAuthentication getAuthentication() {
        return new ServerOnlyTlsAuthentication() {
            @Override
            public void notifyServerCertificate(TlsServerCertificate server) throws IOException {
                collect(server);
                try {
                    judge(server.getCertificate());
                } catch (Exception error) {
                    throw new TlsFatalAlert(AlertDescription.bad_certificate_status_response, error);
                }
            }
        };
    }

    private void collect(TlsServerCertificate server) throws IOException {
        if (version == ProtocolVersion.TLSv13) {
            Certificate chain = server.getCertificate();
            for (int place = 0; place < chain.getLength(); place++) {
                Hashtable<?, ?> extensions = chain.getCertificateEntryAt(place).getExtensions();
                byte[] body = TlsUtils.getExtensionData(extensions, TlsExtensionsUtils.EXT_status_request);
                staples.add(body == null ? new byte[0] : response(body));
                carrier = body == null ? carrier : "entries";
            }
            return;
        }
        CertificateStatus status = server.getCertificateStatus();
        if (status == null) {
            return;
        }
        if (status.getStatusType() == CertificateStatusType.ocsp) {
            carrier = "ocsp";
            staples.add(status.getOCSPResponse().getEncoded());
            return;
        }
        carrier = "ocsp_multi";
        for (Object each : status.getOCSPResponseList()) {
            staples.add(each == null ? new byte[0] : ((OCSPResponse) each).getEncoded());
        }
    }

    // A CertificateStatus as an entry of TLS 1.3 has it: a type, and a response that has at least one byte.
    private static byte[] response(byte[] body) throws IOException {
        ByteArrayInputStream status = new ByteArrayInputStream(body);
        if (TlsUtils.readUint8(status) != CertificateStatusType.ocsp) {
            throw new TlsFatalAlert(AlertDescription.bad_certificate_status_response);
        }
        byte[] found = TlsUtils.readOpaque24(status, 1);
        if (status.available() > 0) {
            throw new TlsFatalAlert(AlertDescription.decode_error);
        }
        return found;
    }

    private void judge(Certificate chain) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509", "BC");
        List<X509Certificate> path = new ArrayList<>();
        Map<X509Certificate, byte[]> responses = new HashMap<>();
        for (int place = 0; place < chain.getLength(); place++) {
            byte[] der = chain.getCertificateAt(place).getEncoded();
            path.add((X509Certificate) factory.generateCertificate(new ByteArrayInputStream(der)));
            if (place < staples.size() && staples.get(place).length > 0) {
                responses.put(path.get(place), staples.get(place));
            }
        }
        CertPathValidator validator = CertPathValidator.getInstance("PKIX", "BC");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        EnumSet<Option> options = EnumSet.of(Option.NO_FALLBACK);
        if (leafOnly) {
            options.add(Option.ONLY_END_ENTITY);
        }
        checker.setOptions(options);
        checker.setOcspResponder(DEAD_RESPONDER);
        checker.setOcspResponses(responses);
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.addCertPathChecker(checker);
        validator.validate(factory.generateCertPath(path), parameters);
    }
}
