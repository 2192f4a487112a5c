import com.alibaba.fastjson2.JSONObject;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** mqadmin {args}: Apache's own tool, run in this JVM, with what it prints on stdout and stderr. */
final class Mqadmin {
    static void register(Map<String, Peer.Call> calls) {
        calls.put("mqadmin", Mqadmin::run);
    }

    private static synchronized Object run(JSONObject request) {
        ByteArrayOutputStream captured = new ByteArrayOutputStream();
        PrintStream out = new PrintStream(captured, true, StandardCharsets.UTF_8);
        PrintStream stdout = System.out;
        PrintStream stderr = System.err;
        System.setOut(out);
        System.setErr(out);
        try {
            MQAdminStartup.main0(request.getList("args", String.class).toArray(new String[0]), null);
        } finally {
            System.setOut(stdout);
            System.setErr(stderr);
        }
        return captured.toString(StandardCharsets.UTF_8);
    }

    private Mqadmin() {
    }
}
