// Asks the JDK's CertPath, for each line read, what it makes of one piece of evidence about one certificate.
//
//   java Judge.java
//
// A line read is "KIND TIME SUBJECT ISSUER EVIDENCE NONCE", with tabs between: KIND is ocsp or crl, TIME in seconds
// since 1970, the rest base64 of DER, the nonce may be missing. A line written is "OUTCOME DETAIL", with a tab between:
// good, revoked, unknown, refused, or crash. It reads and writes nothing else, and asks nobody on a network.

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.URI;
import java.security.cert.CRL;
import java.security.cert.CRLException;
import java.security.cert.CertPath;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertPathValidatorException.BasicReason;
import java.security.cert.CertStore;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.Extension;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.Date;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

public final class Judge {
    // Nobody listens on port 1: an answer from there would take somebody with root's rights on this very machine.
    private static final URI DEAD_RESPONDER = URI.create("http://127.0.0.1:1/");
    private static final String NONCE = "1.3.6.1.5.5.7.48.1.2";

    public static void main(String[] arguments) throws Exception {
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, US_ASCII));
        for (String line; (line = questions.readLine()) != null; ) {
            String said;
            try {
                said = judge(line.split("\t", -1));
            } catch (CertPathValidatorException error) {
                said = verdict(error) + "\t" + said(error);
            } catch (CertificateException | CRLException error) {
                said = "refused\t" + said(error);
            } catch (Exception | StackOverflowError error) {
                said = "crash\t" + said(error);
            }
            System.out.println(said.replaceAll("[\\r\\n]+", " "));
        }
    }

    private static String judge(String[] question) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        X509Certificate subject = certificate(factory, question[2]);
        X509Certificate issuer = certificate(factory, question[3]);
        byte[] evidence = Base64.getDecoder().decode(question[4]);

        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(issuer, null)));
        parameters.setDate(new Date(Long.parseLong(question[1]) * 1000));
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOcspResponder(DEAD_RESPONDER);
        if (question[0].equals("crl")) {
            checker.setOptions(EnumSet.of(Option.PREFER_CRLS, Option.NO_FALLBACK));
            CRL crl = factory.generateCRL(new ByteArrayInputStream(evidence));
            if (crl == null) {
                throw new CRLException("there is no CRL in it");
            }
            parameters.addCertStore(
                CertStore.getInstance("Collection", new CollectionCertStoreParameters(List.of(crl))));
        } else {
            checker.setOptions(EnumSet.of(Option.NO_FALLBACK));
            checker.setOcspResponses(Map.of(subject, evidence));
            if (!question[5].isEmpty()) {
                checker.setOcspExtensions(List.of(new Nonce(Base64.getDecoder().decode(question[5]))));
            }
        }
        parameters.addCertPathChecker(checker);
        CertPath path = factory.generateCertPath(List.of(subject));
        validator.validate(path, parameters);
        return "good\t";
    }

    private static X509Certificate certificate(CertificateFactory factory, String encoded) throws CertificateException {
        byte[] der = Base64.getDecoder().decode(encoded);
        return (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(der));
    }

    private static String verdict(CertPathValidatorException error) {
        if (error.getReason() == BasicReason.REVOKED) {
            return "revoked";
        }
        return String.valueOf(error.getMessage()).contains("status is unknown") ? "unknown" : "refused";
    }

    private static String said(Throwable error) {
        StringBuilder said = new StringBuilder();
        for (Throwable each = error; each != null; each = each.getCause()) {
            said.append(said.length() == 0 ? "" : "; ").append(each);
        }
        return said.toString();
    }

    // The nonce that the request carried (RFC 9654 §2.1), as an extension whose value is an OCTET STRING.
    private record Nonce(byte[] nonce) implements Extension {
        @Override
        public String getId() {
            return NONCE;
        }

        @Override
        public boolean isCritical() {
            return false;
        }

        @Override
        public byte[] getValue() {
            byte[] value = new byte[2 + nonce.length];
            value[0] = 4;
            value[1] = (byte) nonce.length;
            System.arraycopy(nonce, 0, value, 2, nonce.length);
            return value;
        }

        @Override
        public void encode(OutputStream out) {
            throw new UnsupportedOperationException("No request is sent.");
        }
    }
}
